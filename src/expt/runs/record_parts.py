"""The parts of the records of runs and sweeps, as pydantic models."""

# ruff: noqa: RUF012  pydantic copies mutable defaults

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from expt.runs.record_base import Count, Finite, Part, Seconds, Texts


class Status(StrEnum):
    """Status of a run or a sweep, in the terms of MLflow."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class JobStatus(StrEnum):
    """Status of a job of a sweep. REUSED jobs have the result of a finished run."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    REUSED = "REUSED"


class Place(Part):
    """The place where a run or a sweep was started.

    Attributes:
        id: Id of the folder of runs.
        directory: Directory of the run or sweep, relative to that folder.
        number: Number in the order of starts in that folder.
    """

    id: str
    directory: str
    number: Count


class MLflowIds(Part):
    """The mirror of a run or a sweep in an MLflow store.

    Attributes:
        run_id: Id of the MLflow run.
        experiment_id: Id of the MLflow experiment.
        complete: Hash of the files and the mirror when the mirror was complete.
    """

    run_id: str
    experiment_id: str | None = None
    complete: str | None = None


class Process(Part):
    """The process that trains a run or a sweep.

    Attributes:
        host: Name of the host.
        id: Process id.
        started: Start time of the process in seconds since 1970, since the system reuses ids.
    """

    host: str | None = None
    id: int | None = None
    started: Seconds | None = None


class Origin(Part):
    """The original of a copied run or sweep: its id, directory and MLflow run id."""

    id: str | None = None
    directory: str | None = None
    mlflow: str | None = None


class SweepOfRun(Part):
    """The sweep that a run belongs to; see `run.Membership`."""

    id: str
    name: str
    experiment: str | None = None
    variant: str | None = None
    varied: Texts = []


class ScaleOfData(Part):
    """The mean and standard deviation of standardization, per feature, channel or value."""

    mean: list[Finite]
    deviation: list[Finite]


class DataRecord(Part):
    """The data that a run was trained on. `fingerprint` is a hash of the data it has read."""

    needed = (
        *("name", "source", "task", "fingerprint", "input_shape", "class_names"),
        *("skipped", "examples"),
    )

    name: str = ""
    source: str = ""
    task: str = ""
    fingerprint: str = ""
    other_columns: dict[str, str] | None = None
    example_hashes: Annotated[str, Field(pattern="^(float32|float64|pixels)$")] | None = None
    skipped: Count = 0
    preparation: dict[str, Any] | None = None
    notes: Texts = []
    input_shape: list[Count] = []
    feature_names: Texts | None = None
    class_names: Texts = []
    input_scale: ScaleOfData | None = None
    target_scale: ScaleOfData | None = None
    examples: dict[str, Any] = {}


class OutputsRecord(Part):
    """The meaning of a model's outputs, and the link function that its saved file includes."""

    kind: Annotated[str, Field(pattern="^(probability|score|value)$")]
    link: Annotated[str, Field(pattern="^(softmax|sigmoid|softplus)$")] | None = None


class CompilationRecord(Part):
    """How the training step was compiled, and why."""

    mode: Annotated[str, Field(pattern="^(graph|xla|eager)$")]
    reason: str


class CodeRecord(Part):
    """The code of a run: a hash per module, and a hash of the whole."""

    hash: str
    modules: dict[str, str]


class GitRecord(Part):
    """The git commit of the code and whether files differ from it, or the error of git."""

    commit: str | None = None
    dirty: bool | None = None
    error: str | None = None


class MachineRecord(Part):
    """The machine that a run was trained on; `memory` is in bytes."""

    host: str | None = None
    cpus: Any = None
    threads: Any = None


class CodeChange(Part):
    """A change of the code when a run was resumed: the previous hash, and the changed modules."""

    needed = ("changed",)

    before: str | None = Field(default=None, alias="from")
    changed: Texts = []


class ResumedRecord(Part):
    """An entry for each time that a run was resumed.

    Attributes:
        time: Time in seconds since 1970.
        changes: Changed values of the config by full key.
        step: The last step before.
        status: Status of the run before.
        code: Change of the code; None if it is the same.
        note: Note on the learning rate.
    """

    needed = ("time", "changes")

    time: Seconds = 0.0
    changes: dict[str, Any] = {}
    step: Count | None = None
    status: str | None = Field(default=None, alias="from")
    code: CodeChange | None = None
    note: str | None = None


class BestRecord(Part):
    """The best step of a run and the monitored metric; the metrics of the step are extra keys."""

    needed = ("step", "watched")

    step: Count = 0
    watched: str | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The metrics of the best step by name, such as `val/loss`."""
        return self.model_extra or {}


class FinalRecord(Part):
    """The last step of a run; the metrics of the step are extra keys."""

    step: Count | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The final metrics by name, such as `test/accuracy`."""
        return self.model_extra or {}


class FindingRecord(Part):
    """A finding of the training doctor: see `expt.probes.doctor.findings.Finding`."""

    rule: str
    message: str
    layer: str | None = None
    step: Count | None = None
    number: Finite | None = None
    remedy: str | None = None
    source: str | None = None

    @property
    def text(self) -> str:
        """The message and the remedy, as one line."""
        return self.message + ("." if self.remedy is None else f". Try {self.remedy}")


class JobRecord(Part):
    """A job in the plan of a sweep.

    Attributes:
        directory: Name of the run's directory inside the sweep's directory.
        run_name: Human-readable name of the run; empty in plans of older versions, which had none.
        run_hash: Hash of config, data and code.
        code: Hash of the code; the modules are in `codes` of the sweep's record.
        variant: The overrides that vary in the sweep, without the seed.
        overrides: All overrides of the job.
        choices: The chosen option of each group.
        status: Status of the job.
        error: Why the job failed; None if it did not.
        reused: Directory of the finished run that is reused for the job, relative to the sweep's
            directory; None if the job is trained.
    """

    needed = ("run_hash", "variant", "overrides", "choices", "status")

    directory: str
    run_name: str | None = None
    run_hash: str = ""
    code: str | None = None
    variant: str = ""
    overrides: Texts = []
    choices: dict[str, str] = {}
    status: Annotated[JobStatus, Field(strict=False)] = JobStatus.PENDING
    error: str | None = None
    reused: str | None = None
