"""Learning rate schedules: functions of the base learning rate α and the run's number of steps T.

Steps are numbered 0 to T - 1. A schedule whose default is to decay to zero reaches it at step T,
after the last step, so that every step changes the weights.

In a config, `learning_rate` is `optimizer.learning_rate`, and `total_steps` is the number of steps
of the run unless the schedule's node sets it.
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

_LOWEST_TESTED, _HIGHEST_TESTED = 1e-7, 10.0
"""The learning rates at the start and the end of a range test."""


def constant(learning_rate: float, total_steps: int) -> float:  # noqa: ARG001
    """Constant schedule: α_t = α at every step.

    Args:
        learning_rate: α.
        total_steps: T; not used.

    Returns:
        α.
    """
    return float(learning_rate)


def step(
    learning_rate: float,
    total_steps: int,
    *,
    boundaries: Sequence[float] = (0.5, 0.75),
    factor: float = 0.1,
) -> LearningRateSchedule:
    """Step decay: the base learning rate, multiplied by a factor at each boundary.

    α_t = α φⁿ, where n is the number of boundaries b with t ≥ max(1, round(b T)). Source: K. He et
    al., "Deep Residual Learning for Image Recognition", arXiv:1512.03385, section 4.2.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        boundaries: Fractions b of the run, from 0 to 1 in ascending order.
        factor: φ, by which the rate is multiplied at each boundary; above 0.

    Raises:
        UserError: `boundaries` are not ascending fractions, or `factor` is not above 0.
    """
    if not _are_ascending_fractions(boundaries):
        raise UserError(
            f"schedule.boundaries={boundaries}: expected fractions of the run in ascending order, "
            "such as [0.5, 0.75]."
        )
    _check_positive("factor", factor)
    # PiecewiseConstantDecay changes the rate after a boundary, not at it. A boundary that rounds to
    # step 0 counts as step 1, so that the first step always has the base rate.
    ends = [max(1, round(boundary * total_steps)) - 1 for boundary in boundaries]
    rates = [float(learning_rate * factor**passed) for passed in range(len(ends) + 1)]
    return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)


def exponential(
    learning_rate: float, total_steps: int, *, final_fraction: float = 0.01
) -> LearningRateSchedule:
    """Exponential decay from the base learning rate to a fraction of it at the last step.

    α_t = α f^(t / (T - 1)), which continues to fall after step T - 1. If T is 1, the rate is α.
    Equivalent to PyTorch's `ExponentialLR` with gamma = f^(1 / (T - 1)).

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        final_fraction: f, the rate of step T - 1 as a fraction of α; above 0, at most 1.

    Raises:
        UserError: `final_fraction` is out of its range.
    """
    _check_positive("final_fraction", final_fraction)
    _check_fraction("final_fraction", final_fraction)
    return keras.optimizers.schedules.ExponentialDecay(
        float(learning_rate), decay_steps=max(1, total_steps - 1), decay_rate=final_fraction
    )


def cosine(
    learning_rate: float, total_steps: int, *, final_fraction: float = 0.0
) -> LearningRateSchedule:
    """Cosine decay from the base learning rate to a fraction of it at the end of the run.

    α_t = α (f + (1 - f) (1 + cos(π t / T)) / 2). Source: I. Loshchilov, F. Hutter, "SGDR",
    arXiv:1608.03983, equation 5.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        final_fraction: f, the rate at step T as a fraction of α, from 0 to 1.

    Raises:
        UserError: `final_fraction` is out of its range.
    """
    _check_fraction("final_fraction", final_fraction)
    return keras.optimizers.schedules.CosineDecay(
        float(learning_rate), total_steps, alpha=final_fraction
    )


def cosine_warmup(
    learning_rate: float, total_steps: int, *, warmup: float = 0.1, final_fraction: float = 0.0
) -> LearningRateSchedule:
    """Linear warm-up to the base learning rate, then cosine decay.

    With W = round(w T): α_t = α (t + 1) / W for t < W, then
    α (f + (1 - f) (1 + cos(π (t - W) / (T - W))) / 2). Sources: for the warm-up, P. Goyal et al.,
    "Accurate, Large Minibatch SGD", arXiv:1706.02677, section 2.2; for the cosine, I. Loshchilov,
    F. Hutter, "SGDR", arXiv:1608.03983, equation 5.

    Args:
        learning_rate: α, the rate of steps W - 1 and W.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        warmup: w, the length of the warm-up as a fraction of T, from 0 to 1.
        final_fraction: f, the rate at step T as a fraction of α, from 0 to 1.

    Raises:
        UserError: An option is out of its range.
    """
    return _after_warmup("cosine", learning_rate, total_steps, warmup, final_fraction)


def linear_warmup(
    learning_rate: float, total_steps: int, *, warmup: float = 0.1, final_fraction: float = 0.0
) -> LearningRateSchedule:
    """Linear warm-up to the base learning rate, then linear decay.

    With W = round(w T): α_t = α (t + 1) / W for t < W, then α (1 - (1 - f) (t - W) / (T - W)).
    Source: J. Devlin et al., "BERT", arXiv:1810.04805, appendix A.2.

    Args:
        learning_rate: α, the rate of steps W - 1 and W.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        warmup: w, the length of the warm-up as a fraction of T, from 0 to 1.
        final_fraction: f, the rate at step T as a fraction of α, from 0 to 1.

    Raises:
        UserError: An option is out of its range.
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
    """One-cycle policy: half a cosine up to the base learning rate, and another one down.

    With P = round(w (T - 1)): from i α at step 0 to α at step P, then to f α at step T - 1, where
    the rate between a and b is a + (b - a) (1 - cos(π p)) / 2 for p from 0 to 1. If P is 0, as in a
    run of one step, the first rate is α. Sources: L. Smith, N. Topin, "Super-Convergence",
    arXiv:1708.07120, for the cycle; PyTorch's `OneCycleLR` for the cosines and the default
    fractions: w = `pct_start`, i = 1/25 = 1/`div_factor`, f = i / 10⁴ = i/`final_div_factor`.
    PyTorch's peak is at w T - 1, which may lie between two steps.

    Args:
        learning_rate: α, the highest rate.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        warmup: w, the length of the rise as a fraction of the run, from 0 to 1.
        initial_fraction: i, the first rate as a fraction of α, from 0 to 1.
        final_fraction: f, the last rate as a fraction of α, from 0 to 1.

    Raises:
        UserError: An option is out of its range.
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
    """Cosine decay with warm restarts: a sequence of cycles, each a cosine decay.

    Cycle i starts at step c_i and has α_t = α dⁱ (f + (1 - f) (1 + cos(π (t - c_i) / (c_{i+1} -
    c_i))) / 2), where c_i = round(T (1 + g + … + g^(i-1)) / (1 + g + … + g^(n-1))). Cycles shorter
    than a step are skipped. Source: I. Loshchilov, F. Hutter, "SGDR", arXiv:1608.03983, section 3,
    where g is T_mult.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T, the number of steps that the schedule spans; null means those of the run.
        num_cycles: n, the number of cycles, at least 1.
        cycle_growth: g, the length of a cycle divided by that of the previous one; above 0.
        decay: d, the rates of a cycle divided by those of the previous one; above 0.
        final_fraction: f, the rate at the end of a cycle as a fraction of its first, from 0 to 1.

    Raises:
        UserError: An option is out of its range.
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
    """Reduce on plateau: lowers the learning rate when evaluations stop improving.

    See `Plateau` for the rule and its source.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T; not used.
        factor: Factor by which the rate is multiplied; above 0, at most 1.
        patience: Number of consecutive evaluations without improvement after which the rate is
            lowered, at least 1.
        min_change: Amount that an improvement over the best value must exceed, at least 0.
        least_fraction: Lower bound on the rate as a fraction of α, from 0 to 1.

    Raises:
        UserError: An option is out of its range.
    """
    _check_positive("factor", factor)
    _check_fraction("factor", factor)
    if not isinstance(patience, int) or patience < 1:
        raise UserError(f"schedule.patience={patience}: expected a whole number of at least 1.")
    if not is_number(min_change) or min_change < 0:
        raise UserError(f"schedule.min_change={min_change}: expected a number of at least 0.")
    _check_fraction("least_fraction", least_fraction)
    return Plateau(learning_rate, factor, patience, min_change, least_fraction)


def range_test(total_steps: int) -> LearningRateSchedule:
    """The rising rates of a learning-rate range test.

    α_t = a (b / a)^(t / (T - 1)) from a = 1e-7 at step 0 to b = 10 at step T - 1; a test of one
    step has a. Sources: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
    arXiv:1506.01186, section 3.3, for the test, with rates that rise linearly; fastai's `lr_find`
    for the exponential rise and the limits.

    Args:
        total_steps: T, the number of steps of the test.
    """
    return keras.optimizers.schedules.ExponentialDecay(
        _LOWEST_TESTED,
        decay_steps=max(1, total_steps - 1),
        decay_rate=_HIGHEST_TESTED / _LOWEST_TESTED,
    )


class Curve(NamedTuple):
    """A transition between two learning rates.

    Attributes:
        shape: `linear`, or `cosine`: half a cosine, flat at both ends.
        first_step: The step with the first rate.
        last_step: The step with the last rate.
        first_rate: The learning rate at the first step.
        last_rate: The learning rate at the last step.
    """

    shape: str
    first_step: int
    last_step: int
    first_rate: float
    last_rate: float


@keras.saving.register_keras_serializable(package="expt")
class Curves(LearningRateSchedule):  # type: ignore[misc]
    """A piecewise schedule: each curve applies from its first step until that of the next one.

    With p = (t - first step) / (last step - first step), clipped to 0..1, the rate is (1 - s) ·
    first rate + s · last rate, where s is p (linear) or (1 - cos(π p)) / 2 (cosine).

    Args:
        curves: In order of their first steps; of those with the same first step, the last applies.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.curves = [Curve(*curve) for curve in curves]

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, a scalar."""
        step = tf.cast(step, tf.float32)
        # A table lookup and not a chain of conditions: its time does not grow with the curves.
        later = np.array([curve.first_step for curve in self.curves[1:]], np.float32)
        current = tf.reduce_sum(tf.cast(step >= later, tf.int32))
        is_cosine, first_step, num_steps, first_rate, last_rate = tf.unstack(
            tf.gather(self._table(), current)
        )
        progress = tf.clip_by_value((step - first_step) / num_steps, 0.0, 1.0)
        # (1 ± cos πp) / 2 as squares: in float32, the difference loses the small rates at the end.
        first_share = tf.where(is_cosine > 0, tf.cos(math.pi / 2 * progress) ** 2, 1 - progress)
        last_share = tf.where(is_cosine > 0, tf.sin(math.pi / 2 * progress) ** 2, progress)
        return first_rate * first_share + last_rate * last_share

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
    """A learning rate that falls when evaluations stop improving.

    rate ← max(rate · factor, α · least_fraction) after `patience` consecutive evaluations without
    improvement; the count then restarts. An improvement is better than the best value by more than
    `min_change`; NaN is never one. Source: PyTorch's `ReduceLROnPlateau` with
    `threshold_mode="abs"`, which waits for one evaluation more than its `patience`.

    Args:
        learning_rate: α, the rate of the first step.
        factor: Factor by which the rate is multiplied.
        patience: Number of consecutive evaluations without improvement that lower the rate.
        min_change: Amount that an improvement over the best value must exceed.
        least_fraction: Lower bound on the rate as a fraction of α.

    Attributes:
        rate: The current learning rate, a variable.
        variables: The state: rate, best value (NaN before the first evaluation) and count.
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
        # Variables, not numbers, which would be constants of the compiled step.
        self.rate = keras.Variable(learning_rate, trainable=False, dtype="float32", name="rate")
        self._best = keras.Variable(math.nan, trainable=False, dtype="float32", name="best")
        self._count = keras.Variable(0, trainable=False, dtype="int32", name="count")
        self.variables = [self.rate, self._best, self._count]

    def __call__(self, step: tf.Tensor) -> tf.Tensor:  # noqa: ARG002
        """Returns the current learning rate, a scalar; it does not depend on the step."""
        return tf.convert_to_tensor(self.rate)

    def consider(self, value: float | tf.Tensor, larger_is_better: bool) -> None:
        """Updates the state with an evaluation, and lowers the rate when patience has run out.

        It consists of operations of TensorFlow, so that a compiled function can call it.

        Args:
            value: The monitored value, such as the validation loss.
            larger_is_better: Whether larger values are better, as for accuracy.
        """
        # Rounded to float32 like the stored best value, or an equal value could be an improvement.
        rounded, best = tf.cast(value, tf.float32), tf.convert_to_tensor(self._best.value)
        count = tf.convert_to_tensor(self._count.value) + 1
        rate = tf.cast(self.rate.value, tf.float64)
        gain = tf.cast(rounded, tf.float64) - tf.cast(best, tf.float64)
        is_improvement = (gain if larger_is_better else -gain) > self._min_change
        is_improvement |= tf.math.is_nan(best)
        is_patient = is_improvement | (count < self._patience)
        lowered = tf.cast(tf.maximum(rate * self._factor, self._least), tf.float32)
        self.rate.assign(tf.where(is_patient, self.rate.value, lowered))
        self._best.assign(tf.where(is_improvement, rounded, best))
        self._count.assign(tf.where(is_improvement | ~is_patient, 0, count))

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


def _are_ascending_fractions(values: object) -> bool:
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
