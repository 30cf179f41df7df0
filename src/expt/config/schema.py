"""The typed schema of everything in the config that is not a part.

Parts are free-form: their keys are their constructor's argument names, and the values stand in
`conf/`. Here stand the types alone, so that a wrong type or an unknown key is refused by name.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

THREADS = 2
"""How many threads an operation takes where no config says; the default of `loop.threads`."""

SWEEPER, LAUNCHER = "expt.sweep.sweepers.grid.GridSweeper", "expt.sweep.launchers.local.LocalLauncher"
"""Those of sweeps that were planned before there was a choice; the defaults of `conf/`."""


class Compile(Enum):
    """How a block of steps runs."""

    graph = "graph"
    xla = "xla"
    eager = "eager"


class Precision(Enum):
    """In what numbers a model computes; its weights are float32 always."""

    float32 = "float32"
    mixed_float16 = "mixed_float16"
    mixed_bfloat16 = "mixed_bfloat16"


class Direction(Enum):
    """Which way the watched metric is better."""

    min = "min"
    max = "max"


@dataclass
class Loop:
    """The training loop."""

    epochs: int = MISSING
    steps: int | None = MISSING
    batches: int | None = MISSING
    compile: Compile = MISSING
    threads: int = MISSING
    precision: Precision = MISSING
    eval_every: Any = MISSING  # a cadence: steps, epochs ("1ep") or null
    image_every: Any = MISSING
    save_every: Any = MISSING
    keep_checkpoints: int = MISSING
    watch: str | None = MISSING
    direction: Direction | None = MISSING
    patience: int | None = MISSING
    min_change: float = MISSING
    time_limit: Any = MISSING  # seconds, or a number with a unit ("10min")
    target_loss: float | None = MISSING
    profile: int | None = MISSING


@dataclass
class Sweep:
    """What a sweep may take."""

    workers: int | None = MISSING
    timeout: Any = MISSING  # as loop.time_limit
    max_failures: int | None = MISSING
    reuse: bool = MISSING
    zip: Any = MISSING  # keys, or lists of keys


@dataclass
class Config:
    """The top level."""

    name: str = MISSING
    seed: int = MISSING
    output_dir: str = MISSING
    data: Any = MISSING
    model: Any = MISSING
    act: Any = MISSING
    loss: Any = MISSING
    optimizer: Any = MISSING
    schedule: Any = MISSING
    metric: dict[str, Any] = field(default_factory=dict)
    loop: Loop = MISSING
    recorder: dict[str, Any] = field(default_factory=dict)
    sweep: Sweep = MISSING
    sweeper: Any = field(default_factory=lambda: {"_target_": SWEEPER})
    launcher: Any = field(default_factory=lambda: {"_target_": LAUNCHER})


def register() -> None:
    """Makes the schema known to Hydra under the name that `conf/config.yaml` lists first."""
    ConfigStore.instance().store(name="schema", node=Config, provider="schema")
