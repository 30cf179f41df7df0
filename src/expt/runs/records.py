"""The records of runs and sweeps: the contents of run.json and sweep.json.

No other module reads or writes these files. Unknown keys are kept. A missing key has the default
of its field: either an older version of expt did not write it, or the run has not yet reached the
point at which it is written.
"""

# ruff: noqa: RUF012  pydantic copies mutable defaults

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field

from expt.runs.damaged import damaged
from expt.runs.record_base import Count, Finite, Part, Seconds, Shape, Texts
from expt.runs.record_file import read_versioned, write_versioned
from expt.runs.record_parts import (
    BestRecord,
    CodeRecord,
    CompilationRecord,
    DataRecord,
    FinalRecord,
    FindingRecord,
    GitRecord,
    JobRecord,
    MachineRecord,
    MLflowIds,
    Origin,
    OutputsRecord,
    Place,
    Process,
    ResumedRecord,
    Status,
    SweepOfRun,
)

RUN_FILE, SWEEP_FILE = "run.json", "sweep.json"
NO_TASK = "none"
"""The task of a run that trained no model, such as one that `expt.gradients --record` made."""


class Record(Part):
    """The fields that the records of runs and sweeps have in common.

    Attributes:
        id: Permanent id; a copy gets a new one.
        name: Name of the MLflow experiment.
        output_dir: Path of the folder of all runs at the start; possibly outdated. Only the
            detection of copies uses it, to look for the original.
        status: Status of the run or sweep.
        started: Start time in seconds since 1970.
        ended: End time in seconds since 1970; None before the end.
        process: The process that trains it, or the last one that did.
        place: The place where it was started; None outside of a folder of runs.
        copied_from: The original, if this is a copy.
        mlflow: The mirror in MLflow; None if there is none.
    """

    id: str | None = None
    name: str | None = None
    output_dir: str | None = None
    status: Annotated[Status, Field(strict=False)] = Status.RUNNING
    started: Seconds = 0.0
    ended: Seconds | None = None
    process: Process | None = None
    place: Place | None = None
    copied_from: Origin | None = None
    mlflow: MLflowIds | None = None

    @property
    def label(self) -> str | None:
        """The human-readable name; None in records of older versions, which had none."""
        return None

    @property
    def first_directory_name(self) -> str | None:
        """The name of the directory at the start; None if it was not recorded."""
        return None if self.place is None else Path(self.place.directory).name

    def updated(self, changes: Mapping[str, Any]) -> Self:
        """Returns a copy of the record with changed values.

        Raises:
            pydantic.ValidationError: A value is wrong.
        """
        return type(self).of({**self.to_mapping(), **changes})


class RunRecord(Record):
    """The record of a run: the content of run.json.

    Attributes:
        run_name: Human-readable name, such as `mlp-relu-s0`; empty in records of versions without
            such names.
        directory_name: Name of the run's directory at the start.
        distinctive: Keys that distinguish the run from a default one, groups first.
        seed: Seed of the run.
        run_hash: Hash of everything that can change the result.
        variant_hash: The same hash without the seed.
        code: Code of the run; None in records of older versions.
        params: Flat parameters by full key; None in records of versions that did not record them.
        larger_is_better: Names of the metrics of which larger values are better.
        sweep: The sweep that the run belongs to; None for a single run.
        overrides: Overrides on the command line.
        choices: The chosen option of each group.
        data: The data that the run was trained on.
        class_weights: Weight of each class in the loss; None without weights.
        compilation: How the training step is compiled; None in records of older versions.
        parameters: Number of parameters of the model.
        model_input_shape: Shape of one input of the model, without the batch dimension.
        model_output_shape: Shape of one output of the model, without the batch dimension.
        model_input_dtype: Data type of the model's inputs.
        model_output_dtype: Data type of the model's outputs.
        watched: The monitored metric, which selects the best model.
        git: State of the git repository; None outside of one.
        versions: Versions of Python and of libraries.
        machine: The machine that the run was trained on.
        environment: Environment variables that can change numbers or speed.
        closed: Whether all recorders have finished with the run.
        training_seconds: Duration of the training, without preparation, evaluation of the test
            split, and interruptions.
        best: Step and metrics of the best model.
        model_outputs: Meaning of the best model's outputs.
        stopped: Why training ended before its full length; None if it did not.
        planned_steps: Planned number of steps of the whole run; None in records of versions that
            did not record it.
        final: Step and metrics at the end.
        error: Why the run failed or was interrupted.
        traceback: Traceback of the error.
        peak_memory: Peak memory of the process in bytes.
        resumed: One entry for each time that the run was resumed.
        notes: Notes and warnings shown to the user.
        findings: What the training doctor found; None in records of versions without it.
    """

    needed = (
        *("run_name", "run_hash", "variant_hash", "overrides", "choices", "data"),
        *("parameters", "versions"),
    )

    run_name: str = ""
    directory_name: str | None = None
    distinctive: Texts | None = None
    seed: int | None = None
    run_hash: str = ""
    variant_hash: str | None = None
    code: CodeRecord | None = None
    params: dict[str, Any] | None = None
    larger_is_better: Texts | None = None
    sweep: SweepOfRun | None = None
    overrides: Texts = []
    choices: dict[str, str] = {}
    data: DataRecord = Field(default_factory=DataRecord)
    class_weights: list[Finite] | None = None
    compilation: CompilationRecord | None = None
    parameters: Count | None = None
    model_input_shape: Shape | None = None
    model_output_shape: Shape | None = None
    model_input_dtype: str | None = None
    model_output_dtype: str | None = None
    watched: str | None = None
    git: GitRecord | None = None
    versions: dict[str, Any] = {}
    machine: MachineRecord | None = None
    environment: dict[str, str] | None = None
    closed: bool | None = None
    training_seconds: Seconds | None = None
    best: BestRecord | None = None
    model_outputs: OutputsRecord | None = None
    stopped: str | None = None
    planned_steps: Count | None = None
    final: FinalRecord | None = None
    error: str | None = None
    traceback: str | None = None
    peak_memory: Count | None = None
    resumed: list[ResumedRecord] = []
    notes: Texts = []
    findings: list[FindingRecord] | None = None

    @property
    def label(self) -> str | None:
        """The human-readable name; None in records of older versions, which had none."""
        return self.run_name or None

    @property
    def first_directory_name(self) -> str | None:
        """The name of the run's directory at the start, or else its run name; None if unknown."""
        return super().first_directory_name or self.directory_name or self.label


class SweepRecord(Record):
    """The record of a sweep: the content of sweep.json.

    Attributes:
        varied: Keys that vary between the jobs.
        sweep_name: Human-readable name, such as `act-loss`.
        is_complete: Whether the MLflow mirrors of the sweep and its runs are complete.
        codes: Module hashes of each distinct code of the jobs, by the hash of the code.
        jobs: The planned jobs.
    """

    needed = ("id", "jobs")

    varied: Texts | None = None
    sweep_name: str | None = None
    is_complete: bool | None = None
    codes: dict[str, dict[str, str]] = {}
    jobs: list[JobRecord] = []

    @property
    def label(self) -> str | None:
        """The human-readable name; None in records of older versions, which had none."""
        return self.sweep_name or None


_Record = TypeVar("_Record", RunRecord, SweepRecord)


def read_run(directory: Path) -> RunRecord:
    """Reads the record of a run.

    Raises:
        UserError: The file is missing, damaged, or was written by a newer version.
    """
    return _read(directory / RUN_FILE, RunRecord)


def read_sweep(directory: Path) -> SweepRecord:
    """Reads the record of a sweep.

    Raises:
        UserError: The file is missing, damaged, or was written by a newer version.
    """
    return _read(directory / SWEEP_FILE, SweepRecord)


def read_record(file: Path) -> RunRecord | SweepRecord:
    """Reads a run.json or a sweep.json.

    Raises:
        UserError: The file is missing, damaged, or was written by a newer version.
    """
    return read_run(file.parent) if file.name == RUN_FILE else read_sweep(file.parent)


def check_complete(directory: Path, record: RunRecord | SweepRecord) -> None:
    """Checks that a record has all values needed to use or resume its run or sweep.

    Raises:
        UserError: A value is missing.
    """
    missing = record.first_missing()
    if missing is not None:
        name = RUN_FILE if isinstance(record, RunRecord) else SWEEP_FILE
        raise damaged(directory / name, missing)


def write_run(directory: Path, record: RunRecord) -> None:
    """Writes the record of a run; the file is replaced atomically.

    Raises:
        OSError: The disk is full, or the directory can't be written to.
    """
    write_versioned(directory / RUN_FILE, record)


def write_sweep(directory: Path, record: SweepRecord) -> None:
    """Writes the record of a sweep; the file is replaced atomically.

    Raises:
        OSError: The disk is full, or the directory can't be written to.
    """
    write_versioned(directory / SWEEP_FILE, record)


def _read(file: Path, kind: type[_Record]) -> _Record:
    record = read_versioned(file, kind)
    # Both have defaults, so that a record can be built step by step, but no valid file lacks them.
    for key in ("status", "started"):
        if key not in record.model_fields_set:
            raise damaged(file, key)
    return record
