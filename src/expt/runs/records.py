"""What run.json and sweep.json hold: the records of runs and sweeps, read and written here alone.

Keys that this version does not know are kept. A key that is missing has the field's default; it
is one that older versions did not write, or that belongs to a moment which has not come.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expt.errors import UserError
from expt.runs.atomic import read_json, write_json

RUN_FILE, SWEEP_FILE = "run.json", "sweep.json"

SCHEMA_VERSION = 2
"""What the files name under `schema_version`; those of the first version lack the key."""

_VERSION_KEY = "schema_version"


class Status(StrEnum):
    """How a run or a sweep stands; the words are MLflow's."""

    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class JobStatus(StrEnum):
    """How a job of a sweep stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"
    REUSED = "REUSED"


Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]
Texts = list[str]
Shape = list[Count | None]


class Part(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(
        strict=True, extra="allow", frozen=True, defer_build=True, protected_namespaces=()
    )
    needed: ClassVar[tuple[str, ...]] = ()
    """The fields without which a run can't be used, or a sweep not continued."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Returns the record of values; tuples in them become lists.

        Raises:
            pydantic.ValidationError: A value is missing or wrong.
        """
        return cls.model_validate(plain_values(values))

    def to_mapping(self) -> dict[str, Any]:
        """Returns the keys that were read or given, as JSON holds them."""
        return self.model_dump(by_alias=True, exclude_unset=True)

    def first_missing(self) -> str | None:
        """Returns the first field that is needed and not there, such as `data.name`."""
        for name in self.needed:
            if name not in self.model_fields_set or getattr(self, name) is None:
                return name
        for name in self.model_fields_set & type(self).model_fields.keys():
            value = getattr(self, name)
            inner = enumerate(value) if isinstance(value, list) else [(None, value)]
            for index, part in inner:
                missing = part.first_missing() if isinstance(part, Part) else None
                if missing is not None:
                    return ".".join(str(one) for one in (name, index, missing) if one is not None)
        return None


class Place(Part):
    """The folder of runs in which a run or a sweep began, and its number there."""

    id: str
    directory: str
    number: Count


class MLflowIds(Part):
    """The copy of a run or a sweep in an MLflow store."""

    run_id: str
    experiment_id: str | None = None
    complete: str | None = None


class Process(Part):
    """The process that trains a run or a sweep; `started` is compared, since ids are reused."""

    host: str | None = None
    id: int | None = None
    started: Seconds | None = None


class Origin(Part):
    """What a run or a sweep was copied from."""

    id: str | None = None
    directory: str | None = None
    mlflow: str | None = None


class SweepOfRun(Part):
    """The sweep that a run is a job of."""

    id: str
    name: str
    experiment: str | None = None
    variant: str | None = None
    varied: Texts = []


class ScaleOfData(Part):
    """How values were standardized."""

    mean: list[Seconds]
    deviation: list[Seconds]


class DataRecord(Part):
    """The data that a run was trained on; `fingerprint` is of what it read."""

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
    """What a model's outputs are, and the link function that its saved file includes."""

    kind: Annotated[str, Field(pattern="^(probability|score|value)$")]
    link: Annotated[str, Field(pattern="^(softmax|sigmoid|softplus)$")] | None = None


class CodeRecord(Part):
    """The code of a run: a hash of each module, and one of all."""

    hash: str
    modules: dict[str, str]


class GitRecord(Part):
    """The commit of the code, and whether files differ from it; or why that is not known."""

    commit: str | None = None
    dirty: bool = False
    error: str | None = None


class MachineRecord(Part):
    """What a run was trained on; `memory` in bytes."""

    host: str | None = None
    cpus: Any = None
    threads: Any = None


class CodeChange(Part):
    """How the code changed when a run was resumed: the former hash, and the changed modules."""

    needed = ("changed",)

    before: str | None = Field(default=None, alias="from")
    changed: Texts = []


class ResumedRecord(Part):
    """A time when a run was resumed.

    Attributes:
        time: Seconds since 1970.
        step: The last step before.
        status: The run's until then.
        changes: What was changed of the config, by full key.
        code: How the code changed, if it did.
        note: On the learning rate.
    """

    needed = ("time", "changes")

    time: Seconds = 0.0
    changes: dict[str, Any] = {}
    step: Count | None = None
    status: str | None = Field(default=None, alias="from")
    code: CodeChange | None = None
    note: str | None = None


class BestRecord(Part):
    """The best step of a run, the metric that chose it, and the values there as further keys."""

    needed = ("step", "watched")

    step: Count = 0
    watched: str | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The values by name, such as `val/loss`."""
        return self.model_extra or {}


class FinalRecord(Part):
    """The last step of a run, and the values there as further keys."""

    step: Count | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """The values by name, such as `test/accuracy`."""
        return self.model_extra or {}


class Record(Part, Mapping[str, Any]):
    """What a run or a sweep has in common.

    Attributes:
        id: Its own for life; a copy gets another one.
        name: The MLflow experiment.
        output_dir: The folder of all runs as it was called then; nothing is looked up there.
        status: How it stands.
        started: Seconds since 1970.
        ended: Seconds since 1970.
        process: Which process trains it, or did at last.
        place: Where it began; None outside of a folder of runs.
        copied_from: Its original, if it is a copy.
        mlflow: Its copy in MLflow.
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
        """The name for people; None of records that are older than such names."""
        return None

    @property
    def first_directory_name(self) -> str | None:
        """What its directory was called when it began; None if that was not recorded."""
        return None if self.place is None else Path(self.place.directory).name

    def updated(self, changes: Mapping[str, Any]) -> Self:
        """Returns the record with other values; they are checked."""
        return type(self).of({**self.to_mapping(), **changes})

    # Until all code reads attributes, a record is a mapping of what JSON holds, too.

    def __getitem__(self, key: str) -> Any:
        if key not in self.model_fields_set:
            raise KeyError(key)
        return plain_values(getattr(self, key))

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        return iter(self.to_mapping())

    def __len__(self) -> int:
        return len(self.model_fields_set)

    def __or__(self, changes: Mapping[str, Any]) -> Self:
        return self.updated(changes)


class RunRecord(Record):
    """The content of a run.json.

    Attributes:
        run_name: What people call it, such as `mlp-relu-s0`; empty of the earliest runs.
        directory_name: What its directory was called at first.
        distinctive: The keys of what sets it apart, groups first.
        seed: Its seed.
        run_hash: Of all that can change the result.
        variant_hash: The same without the seed.
        code: Its code; None if it began before that was recorded.
        params: Its parameters by full key; None if it began before they were recorded.
        larger_is_better: The names of the metrics of which larger values are better.
        sweep: The sweep that it is a job of.
        overrides: What was given on the command line.
        choices: The option of each group.
        data: What it was trained on.
        class_weights: What the loss was weighted with.
        parameters: How many the model has.
        watched: The metric that chooses the best model.
        versions: Of Python and the libraries.
        environment: Variables that can change numbers or speed.
        closed: Whether its recorders are done with it.
        training_seconds: Without preparation, evaluation of the test split, and pauses.
        best: The values of the kept model.
        model_outputs: What that model's outputs are.
        stopped: Why it ended before its length.
        final: The last values.
        error: Why it failed, or what interrupted it.
        peak_memory: In bytes.
        resumed: The times when it was resumed.
        notes: What its user was warned of.
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
    class_weights: list[Seconds] | None = None
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
    final: FinalRecord | None = None
    error: str | None = None
    traceback: str | None = None
    peak_memory: Count | None = None
    resumed: list[ResumedRecord] = []
    notes: Texts = []

    @property
    def label(self) -> str | None:
        """The name for people; None of runs that are older than such names."""
        return self.run_name or None

    @property
    def first_directory_name(self) -> str | None:
        """What its directory was called when it began; None if that was not recorded."""
        return super().first_directory_name or self.directory_name or self.label


class JobRecord(Part):
    """A job in a sweep's plan.

    Attributes:
        directory: The name of its run's directory in the sweep's.
        run_name: The name of its run; empty if it was planned before runs had any.
        run_hash: Of config, data and code.
        code: The hash of its code; the sweep's `codes` has the modules.
        variant: Its values of what varies, the seed left out.
        overrides: What was given for it.
        choices: The option of each group.
        status: How it stands.
        error: Why it failed.
        reused: The directory of the earlier run that stands in for it, from that of the sweep.
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


class SweepRecord(Record):
    """The content of a sweep.json.

    Attributes:
        varied: The keys that vary among the jobs.
        sweep_name: What people call it, such as `act-loss`.
        is_complete: Whether MLflow's copies are complete.
        codes: The modules of each code that jobs have, by its hash.
        jobs: The plan.
    """

    needed = ("id", "jobs")

    varied: Texts | None = None
    sweep_name: str | None = None
    is_complete: bool | None = None
    codes: dict[str, dict[str, str]] = {}
    jobs: list[JobRecord] = []

    @property
    def label(self) -> str | None:
        """The name for people; None of sweeps that are older than such names."""
        return self.sweep_name or None


_Record = TypeVar("_Record", RunRecord, SweepRecord)


def read_run(directory: Path) -> RunRecord:
    """Reads a run's run.json.

    Raises:
        UserError: It is not there, is damaged, or was written by a newer version.
    """
    return _read(directory / RUN_FILE, RunRecord)


def read_sweep(directory: Path) -> SweepRecord:
    """Reads a sweep's sweep.json.

    Raises:
        UserError: It is not there, is damaged, or was written by a newer version.
    """
    return _read(directory / SWEEP_FILE, SweepRecord)


def read_record(file: Path) -> RunRecord | SweepRecord:
    """Reads a run.json or a sweep.json.

    Raises:
        UserError: It is not there, is damaged, or was written by a newer version.
    """
    return read_run(file.parent) if file.name == RUN_FILE else read_sweep(file.parent)


def check_complete(directory: Path, record: RunRecord | SweepRecord) -> None:
    """Checks that a record has what using the run, or continuing the sweep, takes.

    Raises:
        UserError: Something is missing.
    """
    missing = record.first_missing()
    if missing is not None:
        name = RUN_FILE if isinstance(record, RunRecord) else SWEEP_FILE
        raise damaged(directory / name, missing)


def write_run(directory: Path, record: RunRecord) -> None:
    """Replaces a run's run.json.

    Raises:
        OSError: The disk is full, or the directory can't be written to.
    """
    _write(directory / RUN_FILE, record)


def write_sweep(directory: Path, record: SweepRecord) -> None:
    """Replaces a sweep's sweep.json.

    Raises:
        OSError: The disk is full, or the directory can't be written to.
    """
    _write(directory / SWEEP_FILE, record)


def _read(file: Path, kind: type[_Record]) -> _Record:
    content = read_json(file)
    if not isinstance(content, dict):
        raise UserError(f"{file} is not the record of a {file.stem}.")
    version = content.pop(_VERSION_KEY, 1)
    if type(version) is not int or version < 1:
        raise damaged(file, _VERSION_KEY)
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{file} was written by a newer version of expt (schema {version}, this version reads "
            f"up to {SCHEMA_VERSION}): update expt."
        )
    try:
        record = kind.model_validate(content)
    except ValidationError as error:
        raise damaged(file, wrong_place(error)) from error
    for key in ("status", "started"):
        if key not in content:
            raise damaged(file, key)
    return record


def _write(file: Path, record: Record) -> None:
    write_json(file, {_VERSION_KEY: SCHEMA_VERSION, **record.to_mapping()})


def wrong_place(error: ValidationError) -> str:
    """Returns where the first value is that is missing or wrong, such as `data.name`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, first["loc"]))


def damaged(file: Path, place: str) -> UserError:
    """Returns the error that a record lacks a value, or that one is wrong."""
    return UserError(
        f"{file} is damaged: {place!r} is missing or wrong. Put a copy of the file in its place "
        "if there is one."
    )


def plain_values(value: Any) -> Any:
    """Returns a value with the parts of records, and tuples, as JSON holds them."""
    if isinstance(value, Part):
        return value.to_mapping()
    if isinstance(value, list | tuple):
        return [plain_values(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain_values(one) for key, one in value.items()}
    return value
