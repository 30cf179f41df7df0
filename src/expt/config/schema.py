"""The typed config: Hydra's schema and the frozen values that the rest of expt reads.

Parts are plain mappings whose keys are the argument names of their constructors; `conf/` holds the
values. Everything else is typed, so that an error about a wrong type or an unknown key names the
key.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args

from expt.config.flatten import flatten
from expt.config.full_keys import suggest_key
from expt.errors import UserError, hint

if TYPE_CHECKING:
    Part = Mapping[str, Any]
    Every = int | str | None
    Duration = float | str | None
else:
    # OmegaConf would convert these values or raise its own errors; `checks` validates them instead.
    Part = Every = Duration = Any

THREADS = 2
"""Default of `loop.threads`, for configs without that key."""

# Recorded sweeps that are older than the groups `sweeper` and `launcher` lack these keys. They ran
# with what are now the defaults of `conf/`.
_SWEEPER = "expt.sweep.sweepers.grid.GridSweeper"
_LAUNCHER = "expt.sweep.launchers.local.LocalLauncher"


class Compile(StrEnum):
    """How a block of steps is executed.

    Members:
        auto: With XLA if that makes the run faster, compiling included; otherwise as a graph.
        graph: As a `tf.function`.
        xla: As a `tf.function` compiled by XLA: faster for dense models, far slower for
            convolutions on CPUs.
        eager: Operation by operation, for debugging.
    """

    auto = "auto"
    graph = "graph"
    xla = "xla"
    eager = "eager"


class Precision(StrEnum):
    """The dtype policy of a model; its weights are always float32."""

    float32 = "float32"
    mixed_float16 = "mixed_float16"
    mixed_bfloat16 = "mixed_bfloat16"


class Mode(StrEnum):
    """The action of the training command.

    Members:
        train: Trains it.
        lr_finder: Trains it for a learning-rate range test, and suggests a rate.
        gradients: Compares the gradients of its loss with central differences; trains nothing.
        schedule: Draws the learning rate over the steps of the run; trains nothing.
    """

    train = "train"
    lr_finder = "lr_finder"
    gradients = "gradients"
    schedule = "schedule"

    @property
    def trains(self) -> bool:
        """Whether the mode trains the config in a run."""
        return self in (Mode.train, Mode.lr_finder)


class Direction(StrEnum):
    """The direction in which the monitored metric improves."""

    min = "min"
    max = "max"


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Settings of the training loop.

    A cadence is a number of steps (`500`) or epochs (`"1ep"`), or null for never.

    A duration is a number of seconds (`90`) or a number with a unit (`"90s"`, `"10min"`, `"2h"`).

    Attributes:
        epochs: Training length in epochs; ignored if `steps` is set.
        steps: Training length in optimizer steps; None uses `epochs`.
        batches: Maximum number of batches in each split, for quick trials; a batch is what one
            optimizer step trains on. None keeps whole splits.
        compile: How a block of steps runs: `auto` (chosen by a rule), `graph`, `xla` (faster for
            dense models in long runs, far slower for convolutions on CPUs) or `eager` (plain
            Python, for debugging).
        threads: Number of threads per TensorFlow operation; changing it changes how sums are
            rounded.
        precision: The dtype policy of the model: `float32`, `mixed_float16` or `mixed_bfloat16`.
        eval_every: Cadence of validation, which also runs at the end of training.
        image_every: Cadence of image grids, which are also drawn before training (step 0) and at
            its end unless this is None.
        save_every: Cadence of checkpoints, which are also saved on interruption and at the end.
        keep_checkpoints: Number of newest checkpoints that are kept, besides that of the best step.
        watch: Full name of the monitored metric, such as `val/accuracy`; None uses the default of
            the kind of training, `val/loss` for supervised learning.
        direction: Direction in which the monitored metric improves, `min` or `max`; None uses the
            metric's own.
        patience: Number of consecutive evaluations without improvement after which training stops;
            None disables early stopping.
        min_change: Amount that an improvement must exceed to reset `patience`, in units of the
            monitored metric.
        time_limit: Duration after which training stops; None sets no limit.
        target_loss: Training loss below which training stops; a run that does not reach it fails.
            None disables it.
        profile: Number of steps that are traced for TensorBoard's profiler; None traces none.
    """

    epochs: int
    steps: int | None
    batches: int | None
    compile: Compile
    threads: int
    precision: Precision
    eval_every: Every
    image_every: Every
    save_every: Every
    keep_checkpoints: int
    watch: str | None
    direction: Direction | None
    patience: int | None
    min_change: float
    time_limit: Duration
    target_loss: float | None
    profile: int | None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Limits and options of a sweep.

    Attributes:
        workers: Number of jobs that train at once; None uses one per GPU, or else one per core.
        timeout: Longest duration of a job, in seconds (`90`) or with a unit (`"10min"`); None sets
            no limit.
        max_failures: Number of failed jobs after which no further job starts; None sets no limit.
        reuse: Whether to skip jobs whose result a finished run in `output_dir` already has, with
            the same config, data and code.
        zip: Keys whose values are paired instead of combined: one list of keys, or a list of such
            lists; None combines all values.
    """

    workers: int | None
    timeout: Duration
    max_failures: int | None
    reuse: bool
    zip: Any  # OmegaConf has no type for "a list, or a list of lists"; `grid` validates it


@dataclass(frozen=True, kw_only=True)
class Config:
    """The config of a job: one node per group, and the values at the top level.

    Attributes:
        name: Name of the MLflow experiment.
        seed: Seed of the initial weights, dropout and the order of the data; in [0, 2**32).
        output_dir: Folder of all runs, relative to the working directory unless absolute.
        mode: What is done: `train`, `lr_finder`, `gradients` or `schedule`; presets of `debug` set
            it.
        data: The data source.
        model: The model.
        act: The activation of the model's hidden layers.
        loss: The training loss.
        optimizer: The optimizer.
        schedule: The learning-rate schedule.
        metric: The metrics by name.
        loop: The training loop.
        recorder: The recorders by name, besides the journal and the console.
        hook: The user's hooks by name.
        probe: The probes by name, which look inside the model while it trains.
        doctor: Whether the rules of the training doctor examine the run at its end.
        sweep: Limits and options of a sweep's jobs.
        sweeper: The part that proposes the jobs of a sweep.
        launcher: The part that runs the jobs of a sweep.
    """

    name: str
    seed: int
    output_dir: str
    # Filled in by OmegaConf for recorded configs that are older than the key.
    mode: Mode = Mode.train
    data: Part
    model: Part
    act: Part
    loss: Part
    optimizer: Part
    schedule: Part
    metric: dict[str, Any] = field(default_factory=dict)
    loop: Loop
    recorder: dict[str, Any] = field(default_factory=dict)
    hook: dict[str, Any] = field(default_factory=dict)
    probe: dict[str, Any] = field(default_factory=dict)
    # A factory, not a default: `from_mapping` accepts only fields with a factory as missing.
    doctor: bool = field(default_factory=lambda: True)
    sweep: Sweep
    sweeper: Part = field(default_factory=lambda: {"_target_": _SWEEPER})
    launcher: Part = field(default_factory=lambda: {"_target_": _LAUNCHER})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Config":
        """Builds a config from plain values, whose types OmegaConf must already have checked.

        Raises:
            UserError: A key is missing, as after `~seed`, or unknown, as after `+x=1`.
        """
        # A missing part becomes None here, because `part_nodes` reports it with the valid options.
        values: dict[str, Any] = {**dict.fromkeys(PARTS), **mapping}
        _check_keys(cls, values, "", mapping)
        for name, node in NODES.items():
            inner = values[name]
            _check_keys(node, inner, f"{name}.", mapping)
            values[name] = node(**{f.name: _typed(f.type, inner[f.name]) for f in fields(node)})
        values["mode"] = _typed(Mode, values["mode"])
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values for JSON, YAML and hashes, without copying parts."""
        values: dict[str, Any] = _plain(self)
        return values

    def flat(self, *, declarations: bool = False) -> dict[str, Any]:
        """Returns the values by full key, such as `loop.epochs`.

        Args:
            declarations: Whether to include declarations of parts, such as `_tasks_`.
        """
        return flatten(self.to_mapping(), declarations=declarations)

    def with_values(self, values: Mapping[str, Any]) -> "Config":
        """Returns a copy with new values for some full keys.

        Args:
            values: New values by key, with at most one dot; a part may gain keys.

        Raises:
            UserError: A key outside parts is unknown.
        """
        mapping = self.to_mapping()
        for key, value in values.items():
            group, _, name = key.partition(".")
            mapping[group] = {**mapping[group], name: value} if name else value
        return Config.from_mapping(mapping)


PARTS = ("data", "model", "act", "loss", "optimizer", "schedule")
"""The groups of which a config has exactly one part."""
NODES: Mapping[str, type[Any]] = {"loop": Loop, "sweep": Sweep}
"""The nodes of a config whose keys are typed, by name."""


def _check_keys(
    node: type[Any], values: Mapping[str, Any], prefix: str, config: Mapping[str, Any]
) -> None:
    """Checks that a node's values have all keys of its dataclass and no others."""
    known = fields(node)
    for one in known:
        if one.name not in values and one.default_factory is MISSING:
            key = f"{prefix}{one.name}"
            raise UserError(f"{key} is required but has no value. Set it with {key}=…")
    names = [one.name for one in known]
    for name, value in values.items():
        if name not in names:
            valid = suggest_key(f"{prefix}{name}", value, flatten(config)) or hint(str(name), names)
            raise UserError(f"{prefix}{name}: there is no such key. {valid}")


def _typed(kind: Any, value: Any) -> Any:
    """Converts the value of an enum field to its member; returns other values unchanged."""
    for one in get_args(kind) or (kind,):
        if isinstance(one, type) and issubclass(one, StrEnum) and value is not None:
            return one(value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Config | Loop | Sweep):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value.value if isinstance(value, StrEnum) else value
