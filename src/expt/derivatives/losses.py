"""The values and gradients of losses over one output, by a tape and in closed form."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.declarations import TASKS_KEY, supports_task
from expt.config.instantiate import bind_part
from expt.config.job import Job
from expt.derivatives.loss_formulas import find_gradient
from expt.derivatives.tapes import Array, Difference, midpoints
from expt.errors import UserError
from expt.train.backend import as_user_errors
from expt.train.input.batch import values_and_weights

_CLASSIFICATION = "classification"
_OTHER_LOGITS = (0.5, -0.5)  # different, so that the largest of the others is unique
_CELLS_PER_UNIT = 40


@dataclass(frozen=True)
class LossGradient:
    """A loss and its gradient while one output varies.

    Attributes:
        name: The name of the option.
        setting: The targets and outputs, such as `y = 1, outputs (z₁, 0.5, -0.5)`.
        of_labels: Whether the targets are labels of classes, and the outputs logits.
        x: The values of the first output, shape [points].
        value: The loss of each point, shape [points].
        gradient: The gradient by a tape with respect to all outputs, shape [points, outputs].
        formula: The formula of the gradient; None if no closed form is known.
        expected: The gradient in closed form, shape [points, outputs]; None without one.
        difference: The largest difference between them; None without a closed form.
    """

    name: str
    setting: str
    of_labels: bool
    x: NDArray[np.float64]
    value: Array
    gradient: Array
    formula: str | None
    expected: Array | None
    difference: Difference | None


@dataclass(frozen=True)
class _Case:
    """The targets of an example, and its outputs but for the first one, which varies."""

    targets: int | Sequence[float]
    other_outputs: Sequence[float]
    range: tuple[int, int]
    setting: str


_LABELS = _Case(0, _OTHER_LOGITS, (-6, 6), "class 1 of 3, logits (z₁, 0.5, -0.5)")
_VALUES = (
    _Case((1.0,), (), (-4, 6), "target t = 1, output o₁"),
    # For losses that need several outputs, such as an angle or a distribution.
    _Case((0.7, 0.3), (0.5,), (-4, 6), "targets t = (0.7, 0.3), outputs (o₁, 0.5)"),
)


def differentiate_loss(name: str, job: Job, dtype: str) -> list[LossGradient]:
    """Computes a loss and its gradient for labels and for values, as far as it supports them.

    Args:
        name: The name of the option.
        job: A job with the loss.
        dtype: `float32` or `float64`.

    Returns:
        One result for classification, one for values, or both.

    Raises:
        UserError: The loss does not accept its arguments, or fails.
    """
    node, where = job.config.loss, f"loss={name}"
    loss = bind_part(node, where)
    results = []
    with as_user_errors(f"{where}: it can't be differentiated"):
        if supports_task(node, _CLASSIFICATION):
            results.append(_differentiate(name, loss, _LABELS, dtype))
        if set(node.get(TASKS_KEY, ["regression"])) - {_CLASSIFICATION}:
            results.append(_of_values(name, loss, dtype))
    return results


def _of_values(name: str, loss: functools.partial[Any], dtype: str) -> LossGradient:
    single, several = _VALUES
    try:
        return _differentiate(name, loss, single, dtype)
    except UserError:  # the loss does not support a single output
        return _differentiate(name, loss, several, dtype)


def _differentiate(
    name: str, loss: functools.partial[Any], case: _Case, dtype: str
) -> LossGradient:
    low, high = case.range
    x = midpoints(low, high, _CELLS_PER_UNIT * (high - low))
    outputs = tf.constant([[value, *case.other_outputs] for value in x], dtype)
    of_labels = isinstance(case.targets, int)
    targets = tf.constant([case.targets] * len(x), tf.int32 if of_labels else dtype)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        values, _ = values_and_weights(loss(targets, outputs))
    gradient = np.asarray(tape.gradient(values, outputs))
    points = np.asarray(outputs, np.float64)
    known = find_gradient(loss, of_labels=of_labels)
    formula = expected = difference = None
    if known is not None:
        formula, closed_form = known
        vectors = np.eye(points.shape[1])[targets] if of_labels else targets
        expected = closed_form(np.asarray(vectors, np.float64), points)
        symbol = "z₁" if of_labels else "o₁"
        difference = Difference.between(gradient, expected, points[:, 0], symbol)
    return LossGradient(
        name,
        case.setting,
        of_labels,
        points[:, 0],
        np.asarray(values),
        gradient,
        formula,
        expected,
        difference,
    )
