"""The evaluation of the validation split within a compiled block of training steps."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.train.compilation import is_converted
from expt.train.evaluation import Evaluate, GraphEvaluation
from expt.train.executors import Evaluated
from expt.train.monitor import BestWeights
from expt.train.program import Program
from expt.train.state import put_averages, put_back


class Validation:
    """A `Validate` that does on the device all that an evaluation changes.

    Evaluates with the moving averages of the weights in place, if there are any, keeps the best
    weights and the predictions, and updates the schedules that depend on the results.

    Args:
        program: The program.
        function: Computes the loss and metrics of the split by name, and its predictions.
        results: The types and shapes of what it returns.
        best: The best weights so far.

    Attributes:
        num_values: The number of values that an evaluation returns.
    """

    def __init__(
        self,
        program: Program,
        function: Callable[[], tuple[dict[str, tf.Tensor], tf.Tensor]],
        results: tuple[dict[str, tf.TensorSpec], tf.TensorSpec],
        best: BestWeights,
    ) -> None:
        values, predictions = results
        self._program, self._function, self._best = program, function, best
        self._names = list(values)
        self._predictions = tf.Variable(
            tf.zeros(predictions.shape, predictions.dtype), trainable=False
        )
        self.num_values = len(self._names)

    def __call__(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Evaluates the split, in a graph; training can't continue with weights that are NaN."""
        learner, monitor = self._program.learner, self._program.monitor
        trained = put_averages(learner.networks, learner.optimizers)
        values, predictions = self._function()
        self._predictions.assign(predictions)
        row = tf.stack([tf.cast(values[name], tf.float64) for name in self._names])
        are_finite = _are_finite(learner.networks)
        value = row[self._names.index(monitor.metric.removeprefix(_PREFIX))]
        self._best.keep_if_best(tf.where(are_finite, value, np.nan))
        put_back(trained)
        for schedule in self._program.schedules:
            schedule.consider(value, monitor.larger_is_better)
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

    It does with `eager`, for a streamed split, for predictions of unknown shape, or if a user's own
    schedule depends on the results.

    Args:
        program: The program.
        evaluate: Evaluates the validation split.
        best: The best weights so far.
    """
    if not isinstance(evaluate, GraphEvaluation) or evaluate.results is None:
        return None
    if any(is_converted(schedule.consider) for schedule in program.schedules):
        return None
    shape = evaluate.results[1].shape
    if not shape.is_fully_defined():
        return None
    return Validation(program, evaluate.function, evaluate.results, best)


def _are_finite(networks: Sequence[keras.Model]) -> tf.Tensor:
    floats = [
        variable.value
        for network in networks
        for variable in network.variables
        if tf.as_dtype(variable.dtype).is_floating
    ]
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(value)) for value in floats])
