"""Derivatives by `GradientTape`, and their differences from closed forms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Difference:
    """The largest difference between a tape's derivative and its closed form.

    Attributes:
        largest: The largest absolute difference.
        place: Where it is, such as `x = 1.2`.
    """

    largest: float
    place: str

    @classmethod
    def between(cls, found: Array, expected: Array, points: Array, symbol: str) -> "Difference":
        """Compares derivatives.

        Args:
            found: The derivatives by a tape, shape [points] or [points, components].
            expected: Those of the closed form, the same shape.
            points: The values of the variable, shape [points].
            symbol: The name of the variable.
        """
        sizes = np.abs(found.astype(np.float64) - expected).reshape(len(points), -1).max(axis=1)
        # NaN is the worst difference, and `argmax` returns it.
        worst = int(sizes.argmax())
        return cls(float(sizes[worst]), f"{symbol} = {points[worst]:.3g}")


def midpoints(low: float, high: float, count: int) -> NDArray[np.float64]:
    """Returns the midpoints of equal cells between two integers.

    They avoid kinks, which are at integers as a rule: with an even number of cells per unit, no
    midpoint is an integer.
    """
    edges = np.linspace(low, high, count + 1)
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def nested_derivatives(
    function: Callable[[tf.Tensor], tf.Tensor], points: tf.Tensor
) -> tuple[Array, Array, Array | None]:
    """Computes f, f' and f'' of a function that is applied to each element.

    The outer tape records what the inner one computes, so that it can differentiate f'.

    Args:
        function: Returns f(x) with the shape of x.
        points: x, shape [points].

    Returns:
        f, f' and f'', each of shape [points]. A derivative that does not depend on x is 0. f'' is
        None if TensorFlow can't differentiate its own operation for f', as that of softsign.
    """
    zero = tf.UnconnectedGradients.ZERO
    with tf.GradientTape() as outer:
        outer.watch(points)
        with tf.GradientTape() as inner:
            inner.watch(points)
            values = function(points)
        first = inner.gradient(values, points, unconnected_gradients=zero)
    try:
        second = outer.gradient(first, points, unconnected_gradients=zero)
    except LookupError:  # the operation of f' has no registered gradient
        return np.asarray(values), np.asarray(first), None
    return np.asarray(values), np.asarray(first), np.asarray(second)
