"""Subjects for tests of probes, a real one and one with a closed form, and a recording moment."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.compose import compose_jobs
from expt.train.backend import start_for
from expt.train.data_loading import DataLoader

Examples = namedtuple("Examples", ["inputs", "targets"])


def make_subject(overrides: Sequence[str]) -> Any:
    """Returns the subject of a job's program, before training."""
    given = ["recorder=[]", *overrides]
    (job,), _ = compose_jobs(given, None, multirun=False)
    dataset = DataLoader()(job)
    start_for(job.config)
    from expt.train.hooks.probes import ProgramSubject
    from expt.train.program import make_program

    return ProgramSubject(make_program(job, dataset))


class RecordedMoment:
    """A `ProbeMoment` that keeps scalars, histograms and images by name."""

    epoch, is_last = 0, False
    values: Mapping[str, float] = {}

    def __init__(self, step: int = 0) -> None:
        self.step = step
        self.scalars: dict[str, float] = {}
        self.histograms: dict[str, NDArray[Any]] = {}
        self.images: dict[str, NDArray[np.uint8]] = {}

    def log(self, values: Mapping[str, float]) -> None:
        self.scalars |= values

    def log_histogram(self, name: str, values: NDArray[Any]) -> None:
        self.histograms[name] = values

    def log_image(self, name: str, pixels: NDArray[np.uint8]) -> None:
        self.images[name] = pixels


class LeastSquares:
    """The mean of (x·w + b - y)² on four batches of eight examples."""

    model: keras.Model
    num_losses = 1
    layers: Mapping[str, Sequence[int]] = {"slope": [0], "offset": [1]}

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        self.arrays = [(draw.normal(size=(8, 3)), draw.normal(size=(8, 1))) for _ in range(4)]
        self.batches: Sequence[Any] = [
            Examples(tf.constant(x, tf.float32), tf.constant(y, tf.float32)) for x, y in self.arrays
        ]
        self.inputs = tf.concat([batch.inputs for batch in self.batches], axis=0)
        self.weights: Sequence[keras.Variable] = [
            keras.Variable(draw.normal(size=(3, 1)), dtype="float32"),
            keras.Variable([0.5]),
        ]

    def values(self) -> list[tf.Tensor]:
        return [tf.convert_to_tensor(variable.value) for variable in self.weights]

    def gradients(
        self, values: Sequence[tf.Tensor], batch: Any
    ) -> tuple[Sequence[tf.Tensor], Sequence[tf.Tensor]]:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.reduce_mean((batch.inputs @ values[0] + values[1] - batch.targets) ** 2)
        return [loss], tape.gradient(loss, values)

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def exact(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Returns the gradients of each batch in closed form: 2 Xᵀ(Xw + b - y) / n and its mean."""
        slope, offset = (variable.numpy().astype(np.float64) for variable in self.weights)
        errors = [x @ slope + offset - y for x, y in self.arrays]
        return [
            (2 * x.T @ e / len(e), np.array([2 * e.mean()]))
            for (x, _), e in zip(self.arrays, errors, strict=True)
        ]
