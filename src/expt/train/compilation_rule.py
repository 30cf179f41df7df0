"""The rule of `loop.compile=auto`: whether XLA makes a run faster, compiling included.

The rule depends on the config, the data set and the kind of device, never on a measurement during
the run, so that a command has the same bits each time. Its numbers are results of
`scripts/compile_speed.py` on two CPU cores.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from expt.config.schema import Compile, Config, Precision
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset
from expt.runs.run import PreviousRun
from expt.train.input.pipeline import is_streamed
from expt.train.learners.learner import Learner
from expt.train.learners.supervised import Reconstruction, Supervised
from expt.train.program_key import user_code
from expt.train.timeline import Timeline

_FASTER_LAYERS = (
    *("InputLayer", "Flatten", "Reshape", "Rescaling", "Add", "Dense"),
    *("BatchNormalization", "LayerNormalization"),
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"),
)
"""Keras layers that XLA makes faster on CPUs. Convolutions and dropout become far slower.

All built-in activations, losses, optimizers, schedules and metrics are faster, too.
"""

_FIRST_STEPS = ((0, 8_000), (10_000_000, 5_000), (30_000_000, 3_000), (100_000_000, 1_000))
"""From how many multiplications per step, the number of steps that make up for compiling."""


@dataclass(frozen=True)
class Compilation:
    """How a program is compiled.

    Attributes:
        mode: `graph`, `xla` or `eager`.
        reason: Why, as the end of a sentence.
    """

    mode: Compile
    reason: str


def choose_compilation(
    config: Config, dataset: Dataset, learner: Learner, timeline: Timeline
) -> Compilation:
    """Returns how a program is compiled: as `loop.compile` says, or for `auto` by the rule.

    Args:
        config: The config of the job.
        dataset: The data set of the job.
        learner: The networks with their training step.
        timeline: The planned steps.
    """
    if config.loop.compile is not Compile.auto:
        return Compilation(config.loop.compile, "it is set")
    obstacle = next(_obstacles(config, dataset, learner), None)
    if obstacle is not None:
        return Compilation(Compile.graph, obstacle)
    weights = sum(network.count_params() for network in learner.networks)
    first = _first_steps(weights * timeline.batch_size)
    total = f"{timeline.total_steps:,} steps"
    if timeline.total_steps < first:
        reason = f"{total} do not make up for compiling with XLA, which takes {first:,}"
        return Compilation(Compile.graph, reason)
    return Compilation(Compile.xla, f"it is faster for dense layers, over {total}")


def recorded_compilation(previous: PreviousRun | None) -> Compilation | None:
    """Returns how a previous run was compiled, on which its bits depend; None if unknown."""
    recorded = None if previous is None else previous.record.compilation
    return None if recorded is None else Compilation(Compile(recorded.mode), recorded.reason)


def _first_steps(multiplications: int) -> int:
    """Returns the number of steps from which a run is faster with XLA, compiling included."""
    return next(steps for least, steps in reversed(_FIRST_STEPS) if multiplications >= least)


def _obstacles(config: Config, dataset: Dataset, learner: Learner) -> Iterator[str]:
    """Yields the reasons against XLA."""
    if gpus := tf.config.list_logical_devices("GPU"):
        yield f"XLA is not measured on {gpus[0].name}"
    if type(learner) not in (Supervised, Reconstruction):
        yield f"XLA is not measured for {type(learner).__name__}"
    if is_streamed(dataset.train) or dataset.augmentation != Augmentation():
        yield "XLA can't compile reading ahead or augmentation"
    yield from _unmeasured_parts(config)
    for network in learner.networks:
        for name in _layer_types(network):
            if name not in _FASTER_LAYERS:
                yield f"XLA is slower for a layer {name}, or not measured"


def _unmeasured_parts(config: Config) -> Iterator[str]:
    if config.loop.precision is not Precision.float32:
        yield f"XLA is not measured for {config.loop.precision}"
    for where, target in user_code(config):
        yield f"XLA is not measured for {where}, {target}"


def _layer_types(network: keras.Model) -> Iterator[str]:
    """Yields the types of a network's layers, those of other packages with their module."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layer_types(layer)
        else:
            kind = type(layer)
            is_of_keras = kind.__module__.partition(".")[0] == "keras"
            yield kind.__name__ if is_of_keras else f"{kind.__module__}.{kind.__name__}"
