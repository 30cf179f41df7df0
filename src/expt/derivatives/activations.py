"""The first and second derivatives of activations, by nested tapes and in closed form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.instantiate import bind_part, call_part
from expt.config.job import Job
from expt.derivatives.closed_forms import ClosedForm, find_closed_form
from expt.derivatives.tapes import Array, Difference, midpoints, nested_derivatives
from expt.train.backend import as_user_errors

_RANGE = (-6, 6)
_POINTS = 480  # 40 a unit, so that no midpoint is an integer


@dataclass(frozen=True)
class ActivationDerivatives:
    """An activation f with its derivatives on a grid.

    Attributes:
        name: The name of the option.
        x: The points, shape [points].
        value: f(x), shape [points].
        first: f'(x) by a tape, shape [points].
        second: f''(x) by a tape in a tape, shape [points]; None if TensorFlow can't compute it.
        closed_form: The closed form; None if none is known.
        expected: f'(x) and f''(x) of the closed form, each of shape [points]; None without one.
        differences: Of f' and of f'' from the closed form; None where either is missing.
        at_kinks: By kink, the values of f' and f'' that the tapes return there.
    """

    name: str
    x: NDArray[np.float64]
    value: Array
    first: Array
    second: Array | None
    closed_form: ClosedForm | None
    expected: tuple[Array, Array] | None = None
    differences: Sequence[Difference | None] = (None, None)
    at_kinks: Mapping[float, tuple[float, float | None]] = field(default_factory=dict)


def differentiate_activation(name: str, job: Job, dtype: str) -> ActivationDerivatives:
    """Differentiates an activation twice on a grid in [-6, 6].

    The grid consists of midpoints of cells, so that it does not contain the kinks of Keras'
    activations, all of which are integers.

    Args:
        name: The name of the option.
        job: A job with the activation.
        dtype: `float32` or `float64`; Keras' dtype policy must be the same.

    Raises:
        UserError: The activation does not accept its arguments, or can't be applied to a vector.
    """
    where = f"act={name}"
    layer = call_part(bind_part(job.config.act, where), where)

    def apply(points: tf.Tensor) -> tf.Tensor:
        return layer(points[None])[0]  # layers expect a batch

    x = tf.constant(midpoints(*_RANGE, _POINTS), dtype)
    with as_user_errors(f"{where}: it can't be differentiated"):
        value, first, second = nested_derivatives(apply, x)
    form = find_closed_form(layer)
    # The closed form is evaluated at the rounded points, in float64.
    points = np.asarray(x, np.float64)
    result = ActivationDerivatives(name, points, value, first, second, form)
    return result if form is None else _compared(result, form, apply)


def _compared(
    result: ActivationDerivatives, form: ClosedForm, apply: Callable[[tf.Tensor], tf.Tensor]
) -> ActivationDerivatives:
    """Adds the closed form's values, the differences from it, and the values at its kinks."""
    x, low, high = result.x, *_RANGE
    expected = form.derivatives(x)
    kinks = [kink for kink in form.kinks if low <= kink <= high]
    # PReLU's slopes have the shape of its inputs, so that kinks must take the place of points.
    points = tf.constant([*kinks, *x[len(kinks) :]], result.value.dtype)
    _, first, second = nested_derivatives(apply, points)
    return replace(
        result,
        expected=expected,
        differences=tuple(
            None if found is None else Difference.between(found, exact, x, "x")
            for found, exact in zip((result.first, result.second), expected, strict=True)
        ),
        at_kinks={
            kink: (float(first[place]), None if second is None else float(second[place]))
            for place, kink in enumerate(kinks)
        },
    )
