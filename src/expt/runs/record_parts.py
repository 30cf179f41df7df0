"""The parts of which the records of runs and sweeps are made, as pydantic's models."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field


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
    dirty: bool | None = None
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


def plain_values(value: Any) -> Any:
    """Returns a value with the parts of records, and tuples, as JSON holds them."""
    if isinstance(value, Part):
        return value.to_mapping()
    if isinstance(value, list | tuple):
        return [plain_values(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain_values(one) for key, one in value.items()}
    return value
