"""What run.json and sweep.json hold: the records of runs and sweeps, read and written here alone.

Keys that this version does not know are kept. A key that is missing has the field's default; it
is one that older versions did not write, or that belongs to a moment which has not come.
"""

# ruff: noqa: RUF012  pydantic copies mutable defaults

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError

from expt.errors import UserError
from expt.runs.atomic import read_json, write_json
from expt.runs.record_parts import (
    BestRecord,
    CodeRecord,
    Count,
    DataRecord,
    FinalRecord,
    GitRecord,
    JobRecord,
    MachineRecord,
    MLflowIds,
    Origin,
    OutputsRecord,
    Part,
    Place,
    Process,
    ResumedRecord,
    Seconds,
    Shape,
    Status,
    SweepOfRun,
    Texts,
)

RUN_FILE, SWEEP_FILE = "run.json", "sweep.json"

SCHEMA_VERSION = 2
"""What the files name under `schema_version`; those of the first version lack the key."""

_VERSION_KEY = "schema_version"


class Record(Part):
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
