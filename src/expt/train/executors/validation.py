"""The evaluation of the validation split within a compiled block of training steps."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.train.evaluation import Evaluate, GraphEvaluation
from expt.train.executors import Evaluated
from expt.train.monitor import BestWeights
from expt.train.program import Program
from expt.train.state import has_averages


class Validation:
    """A `Validate` that keeps the best weights and the predictions on the device.

    Args:
        function: Computes the loss and metrics of the split by name, and its predictions.
        results: The types and shapes of what it returns.
        best: The best weights so far.

    Attributes:
        num_values: The number of values that an evaluation returns.
    """

    def __init__(
        self,
        function: Callable[[], tuple[dict[str, tf.Tensor], tf.Tensor]],
        results: tuple[dict[str, tf.TensorSpec], tf.TensorSpec],
        best: BestWeights,
    ) -> None:
        values, predictions = results
        self._function, self._best, self._names = function, best, list(values)
        self._predictions = tf.Variable(
            tf.zeros(predictions.shape, predictions.dtype), trainable=False
        )
        self.num_values = len(self._names)

    def __call__(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Evaluates the split, in a graph; training can't continue with weights that are NaN."""
        values, predictions = self._function()
        self._predictions.assign(predictions)
        row = tf.stack([tf.cast(values[name], tf.float64) for name in self._names])
        are_finite = _are_finite(self._best.networks)
        watched = self._best.monitor.metric.removeprefix(_PREFIX)
        value = row[self._names.index(watched)]
        self._best.keep_if_best(tf.where(are_finite, value, np.nan))
        return row, are_finite

    def values(self, row: NDArray[np.float64]) -> dict[str, float]:
        """Returns the values of an evaluation by full name."""
        return {
            f"{_PREFIX}{name}": float(value) for name, value in zip(self._names, row, strict=True)
        }

    def latest(self, row: NDArray[np.float64]) -> Evaluated:
        """Returns the last evaluation, whose values are `row`, with its predictions."""
        return Evaluated(self.values(row), self._predictions.numpy())


_PREFIX = "val/"


def make_validation(program: Program, evaluate: Evaluate, best: BestWeights) -> Validation | None:
    """Returns the evaluation that a program's blocks can contain; None if it needs the host.

    It does with `eager`, for a streamed split, for predictions of unknown shape, if the weights are
    replaced by their moving averages, or if a schedule depends on the results.

    Args:
        program: The program.
        evaluate: Evaluates the validation split.
        best: The best weights so far.
    """
    learner = program.learner
    if not isinstance(evaluate, GraphEvaluation) or evaluate.results is None:
        return None
    if program.schedules or has_averages(learner.optimizers):
        return None
    shape = evaluate.results[1].shape
    if not shape.is_fully_defined():
        return None
    return Validation(evaluate.function, evaluate.results, best)


def _are_finite(networks: Sequence[keras.Model]) -> tf.Tensor:
    floats = [
        variable.value
        for network in networks
        for variable in network.variables
        if tf.as_dtype(variable.dtype).is_floating
    ]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])
