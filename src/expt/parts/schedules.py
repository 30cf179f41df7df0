"""Schedules: functions of the base learning rate α and the number T of steps of the run.

Steps are 0 to T - 1. A schedule that falls to zero by default gets there at step T, one after the
last, so that no step is idle.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

from expt.errors import UserError
from expt.parts.numbers import is_number


def constant(learning_rate: float, total_steps: int) -> float:  # noqa: ARG001
    """The base learning rate at every step."""
    return float(learning_rate)


def step(
    learning_rate: float,
    total_steps: int,
    *,
    boundaries: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
) -> LearningRateSchedule:
    """The base learning rate, multiplied by a factor at each boundary.

    α_t = α φⁿ, with n the number of boundaries b for which t ≥ max(1, round(b T)). Source: K. He et
    al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T.
        boundaries: Fractions of the run, rising.
        factor: φ.

    Raises:
        UserError: The boundaries are no fractions or don't rise, or the factor isn't positive.
    """
    if not _are_rising_fractions(boundaries):
        raise UserError(
            f"schedule.boundaries={boundaries}: expected fractions of the run in rising order, "
            "such as [0.5, 0.75]."
        )
    _check_positive("factor", factor)
    # Keras' boundaries are the last steps before a change.
    ends = [max(1, round(boundary * total_steps)) - 1 for boundary in boundaries]
    rates = [float(learning_rate * factor**passed) for passed in range(len(ends) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)


def exponential(
    learning_rate: float, total_steps: int, *, final_fraction: float = 0.01
) -> LearningRateSchedule:
    """From the base learning rate to a fraction of it at the last step, by equal factors.

    α_t = α f^(t / (T - 1)); it goes on falling after the last step. A run of one step has α.
    Source: the definition of geometric interpolation; PyTorch's `ExponentialLR` has the factor of a
    step, f^(1 / (T - 1)), for its argument.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T.
        final_fraction: f, above 0.

    Raises:
        UserError: The fraction isn't one, or is 0.
    """
    _check_positive("final_fraction", final_fraction)
    _check_fraction("final_fraction", final_fraction)
    return keras.optimizers.schedules.ExponentialDecay(
        float(learning_rate), decay_steps=max(1, total_steps - 1), decay_rate=final_fraction
    )


def cosine(
    learning_rate: float, total_steps: int, *, final_fraction: float = 0.0
) -> LearningRateSchedule:
    """Half a cosine from the base learning rate down to a fraction of it at the run's end.

    α_t = α (f + (1 - f) (1 + cos(π t / T)) / 2). Source: I. Loshchilov, F. Hutter, "SGDR",
    arXiv:1608.03983, equation 5.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T.
        final_fraction: f, reached at step T.

    Raises:
        UserError: The fraction isn't one.
    """
    _check_fraction("final_fraction", final_fraction)
    return keras.optimizers.schedules.CosineDecay(
        float(learning_rate), total_steps, alpha=final_fraction
    )


def cosine_warmup(
    learning_rate: float, total_steps: int, *, warmup: float = 0.1, final_fraction: float = 0.0
) -> LearningRateSchedule:
    """A linear rise from zero to the base learning rate, then half a cosine down.

    With W = round(w T): α_t = α (t + 1) / W for t < W, then
    α (f + (1 - f) (1 + cos(π (t - W) / (T - W))) / 2). Sources: for the rise, P. Goyal et al.,
    "Accurate, Large Minibatch SGD", arXiv:1706.02677, section 2.2; for the cosine, I. Loshchilov,
    F. Hutter, "SGDR", arXiv:1608.03983, equation 5.

    Args:
        learning_rate: α, the rate of steps W - 1 and W.
        total_steps: T.
        warmup: w, the fraction of the run in which the rate rises.
        final_fraction: f, reached at step T.

    Raises:
        UserError: An argument isn't a fraction.
    """
    return _after_warmup("cosine", learning_rate, total_steps, warmup, final_fraction)


def linear_warmup(
    learning_rate: float, total_steps: int, *, warmup: float = 0.1, final_fraction: float = 0.0
) -> LearningRateSchedule:
    """A linear rise from zero to the base learning rate, then a linear fall.

    With W = round(w T): α_t = α (t + 1) / W for t < W, then α (1 - (1 - f) (t - W) / (T - W)).
    Source: J. Devlin et al., "BERT", arXiv:1810.04805, appendix A.2.

    Args:
        learning_rate: α, the rate of steps W - 1 and W.
        total_steps: T.
        warmup: w, the fraction of the run in which the rate rises.
        final_fraction: f, reached at step T.

    Raises:
        UserError: An argument isn't a fraction.
    """
    return _after_warmup("linear", learning_rate, total_steps, warmup, final_fraction)


def one_cycle(
    learning_rate: float,
    total_steps: int,
    *,
    warmup: float = 0.3,
    initial_fraction: float = 0.04,
    final_fraction: float = 4e-6,
) -> LearningRateSchedule:
    """Half a cosine up to the base learning rate and another one down, far below the start.

    With P = round(w (T - 1)): from i α at step 0 to α at step P and f α at step T - 1, where the
    way from a to b is a + (b - a) (1 - cos(π p)) / 2 for p from 0 to 1. If P is 0, as in a run of
    one step, it starts at α. Sources: L. Smith, N. Topin, "Super-Convergence", arXiv:1708.07120,
    for the cycle; PyTorch's `OneCycleLR` for its cosines and these fractions: w = `pct_start`,
    i = 1/25 = 1/`div_factor`, f = i / 10⁴ = i/`final_div_factor`. Its peak is at w T - 1, which
    may lie between two steps.

    Args:
        learning_rate: α, the highest rate.
        total_steps: T.
        warmup: w, the fraction of the run in which the rate rises.
        initial_fraction: i.
        final_fraction: f.

    Raises:
        UserError: An argument isn't a fraction.
    """
    _check_fraction("warmup", warmup)
    _check_fraction("initial_fraction", initial_fraction)
    _check_fraction("final_fraction", final_fraction)
    last = total_steps - 1
    peak = round(warmup * last)
    rise = Curve("cosine", 0, peak, initial_fraction * learning_rate, learning_rate)
    fall = Curve("cosine", peak, last, learning_rate, final_fraction * learning_rate)
    return Curves([rise, fall])


def restarts(
    learning_rate: float,
    total_steps: int,
    *,
    num_cycles: int = 4,
    cycle_growth: float = 1.0,
    decay: float = 1.0,
    final_fraction: float = 0.0,
) -> LearningRateSchedule:
    """Cosines one after another, each from a high learning rate down: warm restarts.

    Cycle i starts at step c_i and has α_t = α dⁱ (f + (1 - f) (1 + cos(π (t - c_i) / (c_{i+1} -
    c_i))) / 2), where c_i = round(T (1 + g + … + g^(i-1)) / (1 + g + … + g^(n-1))). Cycles shorter
    than a step are left out. Source: I. Loshchilov, F. Hutter, "SGDR", arXiv:1608.03983, section 3,
    where g is T_mult.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T.
        num_cycles: n.
        cycle_growth: g, how many times as long as the last one a cycle is.
        decay: d, by which the rates of a cycle are those of the last one multiplied.
        final_fraction: f, reached as the next cycle starts.

    Raises:
        UserError: There is no cycle, or an argument isn't positive or isn't a fraction.
    """
    if not isinstance(num_cycles, int) or num_cycles < 1:
        raise UserError(f"schedule.num_cycles={num_cycles}: expected a whole number of at least 1.")
    _check_positive("cycle_growth", cycle_growth)
    _check_positive("decay", decay)
    _check_fraction("final_fraction", final_fraction)
    lengths = [cycle_growth**cycle for cycle in range(num_cycles)]
    ends = [round(total_steps * done / sum(lengths)) for done in itertools.accumulate(lengths)]
    curves = []
    for cycle, (first, end) in enumerate(itertools.pairwise(sorted({0, *ends}))):
        peak = learning_rate * decay**cycle
        curves.append(Curve("cosine", first, end, peak, final_fraction * peak))
    return Curves(curves)


def plateau(
    learning_rate: float,
    total_steps: int,  # noqa: ARG001
    *,
    factor: float = 0.5,
    patience: int = 5,
    min_change: float = 0.0001,
    least_fraction: float = 0.001,
) -> "Plateau":
    """The base learning rate, lowered whenever evaluations have stopped getting better.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T; it has no effect.
        factor: By which the rate is multiplied, between 0 and 1.
        patience: How many evaluations in a row without an improvement lower the rate.
        min_change: What a value must be better by than the best so far, to be an improvement.
        least_fraction: The fraction of α below which the rate never falls.

    Raises:
        UserError: An argument is out of its range.
    """
    _check_positive("factor", factor)
    _check_fraction("factor", factor)
    if not isinstance(patience, int) or patience < 1:
        raise UserError(f"schedule.patience={patience}: expected a whole number of at least 1.")
    if not is_number(min_change) or min_change < 0:
        raise UserError(f"schedule.min_change={min_change}: expected a number of at least 0.")
    _check_fraction("least_fraction", least_fraction)
    return Plateau(learning_rate, factor, patience, min_change, least_fraction)


class Curve(NamedTuple):
    """The way from one learning rate to another, which are reached at the first and last step."""

    shape: str
    """`linear` or `cosine` (half a cosine, flat at both ends)."""
    first_step: int
    last_step: int
    first_rate: float
    last_rate: float


@keras.saving.register_keras_serializable(package="expt")
class Curves(LearningRateSchedule):  # type: ignore[misc]
    """Curves one after another, each from its first step until the next one's, the last for ever.

    With p = (t - first step) / (last step - first step), at most 1, the rate is (1 - s) · first
    rate + s · last rate, where s is p or (1 - cos(π p)) / 2.

    Args:
        curves: By rising first step; of those with the same one, the last is taken.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.curves = [Curve(*curve) for curve in curves]

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, a scalar."""
        step = tf.cast(step, tf.float32)
        # One row of a table is read: the time that a step takes doesn't grow with their number.
        later = np.array([curve.first_step for curve in self.curves[1:]], np.float32)
        current = tf.reduce_sum(tf.cast(step >= later, tf.int32))
        is_cosine, first_step, num_steps, first_rate, last_rate = tf.unstack(
            tf.gather(self._table(), current)
        )
        passed = tf.clip_by_value((step - first_step) / num_steps, 0.0, 1.0)
        # (1 ± cos πp) / 2, without a difference in which float32 loses the small rates of the end.
        rest = tf.where(is_cosine > 0, tf.cos(math.pi / 2 * passed) ** 2, 1 - passed)
        share = tf.where(is_cosine > 0, tf.sin(math.pi / 2 * passed) ** 2, passed)
        return first_rate * rest + last_rate * share

    def _table(self) -> Any:
        rows = [
            (
                curve.shape == "cosine",
                curve.first_step,
                max(1, curve.last_step - curve.first_step),
                curve.first_rate,
                curve.last_rate,
            )
            for curve in self.curves
        ]
        return np.array(rows, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {"curves": [list(curve) for curve in self.curves]}


@keras.saving.register_keras_serializable(package="expt")
class Plateau(LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that falls when told that evaluations have stopped getting better.

    The rate ← max(rate factor, α least_fraction) at the `patience`-th evaluation in a row that is
    not better than the best by more than `min_change`; then the count starts anew. Source:
    PyTorch's `ReduceLROnPlateau` with `threshold_mode="abs"`, which waits for one evaluation more
    than its `patience`. A value that is not a number is never better.

    Attributes:
        variables: The state: rate, best value (not a number before the first) and count. The
            compiled step reads the rate, so it can change without a new trace.
    """

    def __init__(
        self,
        learning_rate: float,
        factor: float,
        patience: int,
        min_change: float,
        least_fraction: float,
    ) -> None:
        self._config = {
            "learning_rate": learning_rate,
            "factor": factor,
            "patience": patience,
            "min_change": min_change,
            "least_fraction": least_fraction,
        }
        self._factor, self._least = factor, learning_rate * least_fraction
        self._patience, self._min_change = patience, min_change
        self.rate = keras.Variable(learning_rate, trainable=False, dtype="float32", name="rate")
        self._best = keras.Variable(math.nan, trainable=False, dtype="float32", name="best")
        self._count = keras.Variable(0, trainable=False, dtype="int32", name="count")
        self.variables = [self.rate, self._best, self._count]

    def __call__(self, step: tf.Tensor) -> tf.Tensor:  # noqa: ARG002
        """Returns the learning rate now, a scalar, whatever the step."""
        return tf.convert_to_tensor(self.rate)

    def consider(self, value: float, larger_is_better: bool) -> None:
        """Takes the watched value of an evaluation, and lowers the rate if it is time.

        Args:
            value: Such as the validation loss.
            larger_is_better: Whether it is a value like accuracy.
        """
        # Rounded as the best was, so that an equal value is no improvement.
        rounded, best = float(np.float32(value)), float(self._best)
        improvement = rounded - best if larger_is_better else best - rounded
        if improvement > self._min_change or math.isnan(best):
            self._best.assign(rounded)
            self._count.assign(0)
        elif int(self._count) + 1 < self._patience:
            self._count.assign_add(1)
        else:
            self.rate.assign(max(float(self.rate) * self._factor, self._least))
            self._count.assign(0)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return dict(self._config)


def _after_warmup(
    shape: str, learning_rate: float, total_steps: int, warmup: float, final_fraction: float
) -> LearningRateSchedule:
    _check_fraction("warmup", warmup)
    _check_fraction("final_fraction", final_fraction)
    num_warmup_steps = round(warmup * total_steps)
    rise = Curve("linear", -1, num_warmup_steps - 1, 0.0, learning_rate)
    final_rate = final_fraction * learning_rate
    fall = Curve(shape, num_warmup_steps, total_steps, learning_rate, final_rate)
    return Curves([rise, fall])


def _are_rising_fractions(values: object) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(is_number(value) and 0 <= value <= 1 for value in values)
        and all(value < later for value, later in itertools.pairwise(values))
    )


def _check_fraction(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise UserError(f"schedule.{name}={value}: expected a number from 0 to 1.")


def _check_positive(name: str, value: float) -> None:
    if not is_number(value) or not 0 < value < math.inf:
        raise UserError(f"schedule.{name}={value}: expected a number above 0.")
