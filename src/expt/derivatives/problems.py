"""Functions of two parameters on which optimizers are compared."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """A function of two parameters that has its minimum 0 at some points.

    Attributes:
        name: The name in file names.
        title: The name in titles.
        formula: The function as text.
        function: Returns f(x, y) for numbers, arrays or tensors.
        start: The point at which paths start.
        minima: The points at which f is 0.
        window: The smallest and the largest x, then y, of the area that figures show.
    """

    name: str
    title: str
    formula: str
    function: Callable[[Any, Any], Any]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    window: tuple[float, float, float, float]


QUADRATIC_CURVATURES = (1.0, 25.0)
"""The second derivatives of the quadratic, whose ratio is its condition number."""


def _quadratic(x: Any, y: Any) -> Any:
    of_x, of_y = QUADRATIC_CURVATURES
    return (of_x * x**2 + of_y * y**2) / 2


def _rosenbrock(x: Any, y: Any) -> Any:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def himmelblau(x: Any, y: Any) -> Any:
    """D. Himmelblau, "Applied Nonlinear Programming", 1972: (x² + y - 11)² + (x + y² - 7)²."""
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


PROBLEMS = (
    Problem(
        "quadratic",
        "an ill-conditioned quadratic",
        "f(x, y) = (x² + 25 y²) / 2",
        _quadratic,
        (-4.0, 1.5),
        ((0.0, 0.0),),
        (-5.0, 3.0, -2.5, 2.5),
    ),
    # H. Rosenbrock, The Computer Journal 3, 1960.
    Problem(
        "rosenbrock",
        "Rosenbrock's valley",
        "f(x, y) = (1 - x)² + 100 (y - x²)²",
        _rosenbrock,
        (-0.5, 1.5),
        ((1.0, 1.0),),
        (-2.0, 2.0, -1.0, 3.0),
    ),
    Problem(
        "himmelblau",
        "Himmelblau's function",
        "f(x, y) = (x² + y - 11)² + (x + y² - 7)²",
        himmelblau,
        (0.0, -1.0),
        ((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127)),
        (-5.5, 5.5, -5.5, 5.5),
    ),
)
