"""The softmax's Jacobian, and the mean squared error through a softmax beside cross-entropy."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import special

from expt.derivatives.loss_formulas import find_gradient, softmax_jacobian
from expt.derivatives.tapes import Array, Difference, midpoints
from expt.parts import losses

_LOGITS = ((2.0, 1.0, 0.5, -1.0), (8.0, 4.0, 2.0, -4.0))
_RANGE = (-8, 8)


@dataclass(frozen=True)
class Jacobian:
    """The Jacobian of a softmax.

    Attributes:
        logits: The logits z.
        probabilities: p = softmax(z), shape [classes].
        matrix: ∂p_i / ∂z_j by a tape, shape [classes, classes].
        difference: The largest difference from diag(p) - p pᵀ.
    """

    logits: Sequence[float]
    probabilities: Array
    matrix: Array
    difference: Difference


def softmax_jacobians(dtype: str) -> list[Jacobian]:
    """Computes the softmax's Jacobian for moderate and for large logits."""
    return [_jacobian(logits, dtype) for logits in _LOGITS]


def _jacobian(logits: Sequence[float], dtype: str) -> Jacobian:
    z = tf.constant(logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(z)
        p = tf.nn.softmax(z)
    matrix = np.asarray(tape.jacobian(p, z))
    expected = softmax_jacobian(special.softmax(np.asarray(logits)))
    rows = np.arange(len(logits))
    difference = Difference.between(matrix, expected, rows + 1.0, "row")
    return Jacobian(logits, np.asarray(p), matrix, difference)


@dataclass(frozen=True)
class LossOfLogits:
    """A loss of a softmax, differentiated with respect to the logits of three classes.

    Attributes:
        title: The name of the loss.
        x: The logit of the true class, while the other logits are 0, shape [points].
        gradient: The gradient at these logits, shape [points, 3].
        difference: The largest difference from the closed form.
        norms: The gradient's Euclidean norm at the logits (z₁, z₂, 0) for z₁ and z₂ in `grid`,
            shape [z₂, z₁].
        grid: Shape [points of the norms].
    """

    title: str
    x: NDArray[np.float64]
    gradient: Array
    difference: Difference
    norms: Array
    grid: NDArray[np.float64]


def compare_losses(dtype: str) -> list[LossOfLogits]:
    """Differentiates cross-entropy and the mean squared error of a softmax."""
    compared: Mapping[str, Callable[..., tf.Tensor]] = {
        "cross-entropy": losses.crossentropy,
        "mean squared error": losses.mse,
    }
    return [_of_logits(title, loss, dtype) for title, loss in compared.items()]


def _of_logits(title: str, loss: Callable[..., tf.Tensor], dtype: str) -> LossOfLogits:
    x, grid = midpoints(*_RANGE, 320), midpoints(*_RANGE, 80)
    lines = np.stack([x, 0 * x, 0 * x], axis=-1)
    gradient = _gradient(loss, lines, dtype)
    known = find_gradient(functools.partial(loss), of_labels=True)
    assert known is not None
    points = np.asarray(tf.constant(lines, dtype), np.float64)
    expected = known[1](np.eye(3)[np.zeros(len(x), int)], points)
    first, second = np.meshgrid(grid, grid)
    plane = np.stack([first, second, 0 * first], axis=-1).reshape(-1, 3)
    norms = np.linalg.norm(_gradient(loss, plane, dtype), axis=-1).reshape(first.shape)
    difference = Difference.between(gradient, expected, x, "z₁")
    return LossOfLogits(title, x, gradient, difference, norms, grid)


def _gradient(loss: Callable[..., tf.Tensor], logits: Array, dtype: str) -> Array:
    outputs = tf.constant(logits, dtype)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        values = loss(tf.zeros(len(logits), tf.int32), outputs)
    return np.asarray(tape.gradient(values, outputs))
