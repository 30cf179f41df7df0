"""The paths of optimizers on functions of two parameters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.job import Job
from expt.derivatives.problems import PROBLEMS, Problem
from expt.train.backend import as_user_errors
from expt.train.optimizer import make_optimizers

NUM_STEPS = 200
# The rates that are tried. Adadelta needs the largest ones, Rosenbrock's valley the smallest.
_RATES = tuple(float(f"{digit}e{power}") for power in range(-4, 3) for digit in (1, 2, 5))
_FLOOR = 1e-4  # smaller values count as the minimum
_FINAL = NUM_STEPS // 5  # the steps whose values are compared
_LONGEST_STEP = 0.1  # of the figure's diagonal; longer ones would be jumps, not a path


@dataclass(frozen=True)
class Path:
    """The path of an optimizer with one learning rate.

    Attributes:
        optimizer: The name of the option.
        problem: The function that is minimized.
        learning_rate: The learning rate.
        points: The start and the parameters after each step, shape [steps + 1, 2].
        values: The function at these points, shape [steps + 1].
    """

    optimizer: str
    problem: Problem
    learning_rate: float
    points: NDArray[np.float64]
    values: NDArray[np.float64]


def best_paths(name: str, job: Job) -> list[Path]:
    """Returns the path of an optimizer on each problem, each with a suitable learning rate.

    The learning rate is the one of 0.0001, 0.0002, 0.0005, …, 500 with the lowest mean of
    log₁₀ max(f, 10⁻⁴) over the last fifth of the steps; ties go to the smallest rate. Rates whose
    path leaves the figure, or takes a step of more than a tenth of its diagonal, are used only if
    all do, and then the smallest is. All other options are those of the config.

    Args:
        name: The name of the option.
        job: A job with the optimizer.

    Raises:
        UserError: The optimizer does not accept its arguments, or fails.
    """
    with as_user_errors(f"optimizer={name}: it can't minimize a function of two parameters"):
        # float32, like the weights of a run; Keras' Muon does not support float64.
        tried = list(trace_paths(name, job, _RATES, "float32"))
    return [min(paths, key=_score) for paths in zip(*tried, strict=True)]


def _score(path: Path) -> tuple[bool, float]:
    """Returns a key that sorts paths with small steps in the figure first, then by their values."""
    low, high = np.array(path.problem.window).reshape(2, 2).T
    with np.errstate(over="ignore", invalid="ignore"):  # of a path that diverges
        longest = np.linalg.norm(np.diff(path.points, axis=0), axis=1).max()
    is_inside = bool(((path.points >= low) & (path.points <= high)).all())
    is_calm = is_inside and bool(longest <= _LONGEST_STEP * np.linalg.norm(high - low))
    if not is_calm:
        return True, path.learning_rate
    mean = np.log10(np.maximum(path.values[-_FINAL:], _FLOOR)).mean()
    return False, round(float(mean), 3)


def trace_paths(
    name: str, job: Job, rates: Sequence[float], dtype: str, num_steps: int = NUM_STEPS
) -> Iterator[list[Path]]:
    """Yields the paths of an optimizer on all problems, for one learning rate after the other.

    The parameters are the 2 × 1 matrix of a layer with two inputs and one output, so that an
    optimizer for matrices, such as Muon, applies its rule for them.

    Args:
        name: The name of the option.
        job: A job with the optimizer.
        rates: The learning rates.
        dtype: `float32` or `float64`, the type of the parameters.
        num_steps: The number of steps.
    """
    make = make_optimizers(job, rates[0])
    with tf.device("CPU"):  # the operations are tiny
        parameters = [
            keras.Variable(np.reshape(problem.start, (2, 1)), dtype=dtype, name="kernel")
            for problem in PROBLEMS
        ]
        # One for each problem, since an optimizer may clip the norm of all its gradients together.
        optimizers = [make([parameter]) for parameter in parameters]
        descend = _make_descent(parameters, optimizers, num_steps)
        variables = [*parameters, *(v for optimizer in optimizers for v in optimizer.variables)]
        initial = [np.asarray(variable) for variable in variables]
        for rate in rates:
            for variable, value in zip(variables, initial, strict=True):
                variable.assign(value)
            for optimizer in optimizers:
                optimizer.learning_rate = rate
            yield [
                _path(name, problem, rate, np.asarray(points, np.float64))
                for problem, points in zip(PROBLEMS, descend(), strict=True)
            ]


def _make_descent(
    parameters: Sequence[keras.Variable], optimizers: Sequence[Any], num_steps: int
) -> Any:
    """Returns a compiled function that takes all steps and returns the points of each problem."""

    # One graph for all problems and steps: thousands of eager steps would take minutes.
    def descend() -> list[tf.Tensor]:
        visited = tuple(
            tf.TensorArray(parameter.dtype, num_steps + 1).write(0, parameter.value[:, 0])
            for parameter in parameters
        )

        def take_step(step: tf.Tensor, visited: tuple[tf.TensorArray, ...]) -> Any:
            for problem, parameter, optimizer in zip(PROBLEMS, parameters, optimizers, strict=True):
                with tf.GradientTape() as tape:
                    value = problem.function(parameter.value[0, 0], parameter.value[1, 0])
                gradient = tape.gradient(value, parameter.value)
                optimizer.apply([gradient], [parameter])
            return step + 1, tuple(
                array.write(step, parameter.value[:, 0])
                for array, parameter in zip(visited, parameters, strict=True)
            )

        _, visited = tf.while_loop(
            lambda step, _: step <= num_steps, take_step, (tf.constant(1), visited)
        )
        return [array.stack() for array in visited]

    return tf.function(descend)


def _path(name: str, problem: Problem, rate: float, points: NDArray[np.float64]) -> Path:
    # A path that diverges overflows, and is not drawn.
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(problem.function(points[:, 0], points[:, 1]))
    return Path(name, problem, rate, points, values)
