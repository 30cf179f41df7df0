"""The config: its typed schema for Hydra, and the frozen values that the rest of expt reads.

Parts are plain mappings: their keys are their constructor's argument names, and their values are in
`conf/`. Everything else has a type, so that a wrong type or an unknown key is refused by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from expt.config.flatten import flatten
from expt.config.full_keys import meant
from expt.config.groups import takes_several
from expt.errors import UserError, hint

if TYPE_CHECKING:
    Part = Mapping[str, Any]
    Every = int | str | None
    Duration = float | str | None
else:  # to OmegaConf, which would convert them or refuse them in its own words
    Part = Every = Duration = Any

THREADS = 2
"""How many threads an operation takes where no config says; the default of `loop.threads`."""

_SWEEPER = "expt.sweep.sweepers.grid.GridSweeper"
_LAUNCHER = "expt.sweep.launchers.local.LocalLauncher"
# Those of sweeps that were planned before there was a choice; the defaults of `conf/`.


class Compile(StrEnum):
    """How a block of steps runs."""

    graph = "graph"
    xla = "xla"
    eager = "eager"


class Precision(StrEnum):
    """The number format that a model computes in; its weights are always float32."""

    float32 = "float32"
    mixed_float16 = "mixed_float16"
    mixed_bfloat16 = "mixed_bfloat16"


class Direction(StrEnum):
    """Which way the monitored metric improves."""

    min = "min"
    max = "max"


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The training loop."""

    epochs: int
    steps: int | None
    batches: int | None
    compile: Compile
    threads: int
    precision: Precision
    eval_every: Every  # a cadence: steps, epochs ("1ep") or null
    image_every: Every
    save_every: Every
    keep_checkpoints: int
    watch: str | None
    direction: Direction | None
    patience: int | None
    min_change: float
    time_limit: Duration  # seconds, or a number with a unit ("10min")
    target_loss: float | None
    profile: int | None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The limits of a sweep."""

    workers: int | None
    timeout: Duration
    max_failures: int | None
    reuse: bool
    zip: Any  # keys, or lists of keys


@dataclass(frozen=True, kw_only=True)
class Config:
    """The top level."""

    name: str
    seed: int
    output_dir: str
    data: Part
    model: Part
    act: Part
    loss: Part
    optimizer: Part
    schedule: Part
    metric: dict[str, Any] = field(default_factory=dict)  # parts by name
    loop: Loop
    recorder: dict[str, Any] = field(default_factory=dict)  # parts by name
    hook: dict[str, Any] = field(default_factory=dict)  # parts by name
    sweep: Sweep
    sweeper: Part = field(default_factory=lambda: {"_target_": _SWEEPER})
    launcher: Part = field(default_factory=lambda: {"_target_": _LAUNCHER})

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Config":
        """Returns the config of plain values; their types are those that OmegaConf has checked.

        Raises:
            UserError: A key is missing, as after `~seed`, or unknown, as after `+x=1`.
        """
        # The checks of parts refuse a missing one like one of another type.
        values: dict[str, Any] = {**dict.fromkeys(PARTS), **mapping}
        _check_keys(cls, values, "", mapping)
        for name, node in _NODES.items():
            inner = values[name]
            _check_keys(node, inner, f"{name}.", mapping)
            values[name] = node(**{f.name: _typed(f.type, inner[f.name]) for f in fields(node)})
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """Returns plain values for JSON, YAML and hashes; parts are not copied."""
        values: dict[str, Any] = _plain(self)
        return values

    def flat(self, *, declarations: bool = False) -> dict[str, Any]:
        """Returns the values by full key, such as `loop.epochs`; see `flatten`."""
        return flatten(self.to_mapping(), declarations=declarations)

    def with_values(self, values: Mapping[str, Any]) -> "Config":
        """Returns the config with other values of some full keys; those of parts may be new."""
        mapping = self.to_mapping()
        for key, value in values.items():
            group, _, name = key.partition(".")
            mapping[group] = {**mapping[group], name: value} if name else value
        return Config.from_mapping(mapping)


PARTS = ("data", "model", "act", "loss", "optimizer", "schedule")
"""The groups that have one part."""
_NODES: Mapping[str, type[Any]] = {"loop": Loop, "sweep": Sweep}


def schema() -> DictConfig:
    """Returns the schema that values are merged into."""
    root: DictConfig = OmegaConf.structured(Config)
    OmegaConf.set_readonly(root, None)  # what is composed of a frozen dataclass can't be changed
    for name, node in _NODES.items():
        root[name] = node
        OmegaConf.set_readonly(root[name], None)
    return root


def register() -> None:
    """Makes the schema known to Hydra under the name that `conf/config.yaml` lists first."""
    ConfigStore.instance().store(name="schema", node=schema(), provider="schema")


def check_deletions(overrides: Sequence[str]) -> None:
    """Checks that no key is deleted that every config has, as by `~loop` or `~sweep.zip`.

    Args:
        overrides: As typed.

    Raises:
        UserError: Something is.
    """
    for override in overrides:
        key = override.removeprefix("~").partition("=")[0]
        if not override.startswith("~") or key not in _needed():
            continue
        if key == "sweep":
            expected = "its keys are set one by one, such as sweep.workers=2"
        elif takes_several(key):
            expected = f"{key}=[] leaves out all of its options"
        else:
            expected = f"give it another value: {key}=…"
        raise UserError(f"{override}: {key} can't be deleted; {expected}.")


def _needed() -> set[str]:
    """Returns the keys of everything in the config that is not a part's."""
    nested = {f"{name}.{f.name}" for name, node in _NODES.items() for f in fields(node)}
    return nested | {f.name for f in fields(Config)}


def _check_keys(
    node: type[Any], values: Mapping[str, Any], prefix: str, config: Mapping[str, Any]
) -> None:
    """Checks that a node's values have all its keys and no others."""
    known = fields(node)
    for one in known:
        if one.name not in values and one.default_factory is MISSING:
            key = f"{prefix}{one.name}"
            raise UserError(f"{key} is needed and has no value; give one: {key}=…")
    names = [one.name for one in known]
    for name, value in values.items():
        if name not in names:
            valid = meant(f"{prefix}{name}", value, flatten(config)) or hint(str(name), names)
            raise UserError(f"{prefix}{name}: there is no such key. {valid}")


def _typed(kind: Any, value: Any) -> Any:
    """Returns a value of a field, whose text is a member's name where the field is of an enum."""
    for one in get_args(kind) or (kind,):
        if isinstance(one, type) and issubclass(one, StrEnum) and value is not None:
            return one(value)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Config | Loop | Sweep):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value.value if isinstance(value, StrEnum) else value
