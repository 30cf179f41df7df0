"""Comparison of a gradient with central differences, weight by weight.

Formula: f'(w) ≈ (f(w + h) - f(w - h)) / 2h, with an error of h² f'''/6 for the step and about
ε |f| / h for the rounding of f. Source: J. Nocedal, S. Wright, "Numerical Optimization", 2nd ed.,
section 8.1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Loss = Callable[[int, NDArray[Any]], float]
"""The loss as a function of one weight: its index and its value; all others keep theirs."""

_MOST_ENTRIES = 20
_ROUNDING = 8  # rounding errors of a loss, in units of ε |f|: that of a sum over some layers


@dataclass(frozen=True)
class Precision:
    """The accuracy of central differences for a floating-point type.

    Attributes:
        dtype: The type that the loss is computed in.
        steps: Step sizes h, in units of the larger of 1 and the weight. A difference counts if it
            is small for one of them: a long step may cross a kink, as that of relu at 0, and a
            short one suffers from rounding.
        tolerance: The largest relative difference of a correct gradient.
    """

    dtype: str
    steps: tuple[float, ...]
    tolerance: float


FLOAT64 = Precision("float64", (1e-4, 1e-6), 1e-5)
FLOAT32 = Precision("float32", (1e-2, 2e-3), 2e-2)


@dataclass(frozen=True)
class WeightCheck:
    """The comparison of one weight, such as a kernel.

    Attributes:
        num_entries: The number of its entries that were compared, besides a random direction.
        largest: The largest absolute value of its gradient.
        difference: The largest relative difference between gradient and central differences.
        is_correct: Whether that difference is within the tolerance.
    """

    num_entries: int
    largest: float
    difference: float
    is_correct: bool


def check_gradients(
    loss: Loss,
    weights: Sequence[NDArray[Any]],
    gradients: Sequence[NDArray[Any]],
    precision: Precision,
    seed: int,
) -> Iterator[WeightCheck]:
    """Compares the gradient of each weight in up to 20 random entries and a random direction.

    The relative difference of a derivative a and a central difference n is
    |a - n| / max(|a|, |n|, r / tolerance), where r = 8 ε |f| / h bounds the rounding error of n.
    An a between the differences to either side has the difference 0: where the loss has a kink,
    any slope between the two is a correct subgradient.

    Args:
        loss: The loss at values of one weight.
        weights: The values at which the gradients were computed.
        gradients: The gradients to check, of the shapes of the weights.
        precision: The accuracy of the loss.
        seed: The seed of the entries and directions.
    """
    generator = np.random.default_rng(seed)
    for index, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        count = min(_MOST_ENTRIES, weight.size)
        entries = generator.choice(weight.size, count, replace=False)
        directions = np.zeros((count + 1, weight.size))
        directions[np.arange(count), entries] = 1
        random = generator.standard_normal(weight.size)
        directions[count] = random / np.linalg.norm(random)
        differences = [
            _difference(loss, index, weight, gradient, direction.reshape(weight.shape), precision)
            for direction in directions
        ]
        # NaN is not within the tolerance either.
        largest = float(np.max(differences))
        yield WeightCheck(
            count, float(np.max(np.abs(gradient))), largest, largest <= precision.tolerance
        )


def _difference(
    loss: Loss,
    index: int,
    weight: NDArray[Any],
    gradient: NDArray[Any],
    direction: NDArray[Any],
    precision: Precision,
) -> float:
    """Returns the relative difference of a directional derivative, the smallest of all steps."""
    derivative = float(np.sum(gradient * direction, dtype=np.float64))
    here = loss(index, weight)
    scale = max(1.0, float(np.max(np.abs(weight[direction != 0]))))
    found = np.inf
    for step in precision.steps:
        ends = [weight + sign * step * scale * direction for sign in (1, -1)]
        # The step as rounded to the weight's type.
        ends = [end.astype(weight.dtype) for end in ends]
        reach = [float(np.sum((end - weight) * direction, dtype=np.float64)) for end in ends]
        values = [loss(index, end) for end in ends]
        central = (values[0] - values[1]) / (reach[0] - reach[1])
        sides = sorted((value - here) / to for value, to in zip(values, reach, strict=True))
        rounding = _ROUNDING * np.finfo(weight.dtype).eps * abs(here) / (step * scale)
        largest = max(abs(derivative), abs(central), rounding / precision.tolerance)
        # `largest` is 0 only if the loss and both derivatives are.
        relative = abs(derivative - central) / largest if largest else 0.0
        is_between = sides[0] <= derivative <= sides[1]
        if relative > precision.tolerance and is_between:
            relative = 0.0
        found = min(found, relative) if np.isfinite(relative) else found
        if found <= precision.tolerance:
            break
    return found
