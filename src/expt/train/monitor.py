"""The monitored metric, and what depends on it: the best weights and early stopping."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


@dataclass(frozen=True)
class Monitor:
    """The metric that selects the best model.

    Attributes:
        metric: The full name of the metric, such as `val/loss`.
        larger_is_better: The direction of the metric.
    """

    metric: str
    larger_is_better: bool = False

    def gain(self, value: float, over: float | None) -> float:
        """Returns by how much a value is better than another, in the unit of the metric.

        Args:
            value: The new value.
            over: The value to compare with; None if there is none yet.

        Returns:
            A positive number if `value` is better; infinity if `over` is None; minus infinity if
            `value` is NaN or infinite.
        """
        # First: NaN compares as neither better nor worse, and must never become the best value.
        if not np.isfinite(value):
            return float("-inf")
        if over is None:
            return float("inf")
        return value - over if self.larger_is_better else over - value


@dataclass
class BestWeights:
    """The weights at the best evaluation so far, kept in variables on the device.

    Attributes:
        networks: The models that are trained.
        monitor: The metric that decides which evaluation is the best.
        step: The step of the best evaluation; None before the first one with a finite value.
        values: The loss and metrics of the best evaluation, by full name.
    """

    PREFIX: ClassVar[str] = "best "
    """The prefix of the array names in checkpoints."""

    networks: Sequence[keras.Model]
    monitor: Monitor
    step: int | None = None
    values: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # All variables, not the trainable ones alone: batch statistics belong to the model.
        self._copies = {
            name: tf.Variable(tf.zeros(weight.shape, weight.dtype), trainable=False)
            for name, weight in self.variables().items()
        }
        # float64 holds every value that a metric returns, so that comparisons are exact.
        self._value = tf.Variable(np.nan, trainable=False, dtype=tf.float64)

    def consider(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps a copy of the networks' weights if these values are the best so far."""
        if self.note(step, values):
            self._keep(tf.constant(self.values[self.monitor.metric], tf.float64))

    def note(self, step: int, values: Mapping[str, float]) -> bool:
        """Keeps the values, but not the weights, if they are the best so far.

        Returns:
            Whether they are.
        """
        name = self.monitor.metric
        is_best = self.monitor.gain(values[name], self.values.get(name)) > 0
        if is_best:
            self.step, self.values = step, dict(values)
        return is_best

    def keep_if_best(self, value: tf.Tensor) -> None:
        """Keeps a copy of the networks' weights if a value is the best so far, in a tf.function.

        Only the device is updated. After the call of the compiled function, the host must pass the
        same values to `note`, which updates `step` and `values`.

        Args:
            value: The value of the monitored metric, a float64 scalar.
        """
        known = tf.convert_to_tensor(self._value)
        is_better = value > known if self.monitor.larger_is_better else value < known
        is_best = tf.math.is_finite(value) & (is_better | tf.math.is_nan(known))
        tf.cond(is_best, lambda: self._keep(value), lambda: None)

    def restore(self) -> None:
        """Assigns the best weights to the networks; there must have been an evaluation."""
        assert self.step is not None
        for name, weight in self.variables().items():
            weight.assign(self._copies[name])

    def reset(self) -> None:
        """Forgets the best evaluation, as before the first one."""
        self.step, self.values = None, {}
        self._value.assign(np.nan)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the best weights by name, for a checkpoint; none before an evaluation."""
        if self.step is None:
            return {}
        return {name: copy.numpy() for name, copy in self._copies.items()}

    def variables(self) -> dict[str, Any]:
        """Returns the networks' variables, by the names that `arrays` uses for their values."""
        return {
            f"{self.PREFIX}{network}/{index:04d}": weight
            for network, model in enumerate(self.networks)
            for index, weight in enumerate(model.weights)
        }

    def _keep(self, value: tf.Tensor) -> None:
        self._value.assign(value)
        for name, weight in self.variables().items():
            self._copies[name].assign(weight.value)

    def load(
        self, step: int | None, values: Mapping[str, float], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        """Restores the contents of a checkpoint.

        Args:
            step: The step of the best evaluation; None if there was none.
            values: The loss and metrics of that evaluation, by full name.
            arrays: The result of `arrays`.
        """
        self.step, self.values = step, dict(values)
        if step is not None:
            self._value.assign(values[self.monitor.metric])
            for name, copy in self._copies.items():
                copy.assign(arrays[name])


@dataclass
class EarlyStopping:
    """The rules that may end a run before its planned last step.

    Attributes:
        monitor: The metric that must improve.
        patience: The number of consecutive evaluations without improvement after which training
            stops; None for no limit.
        min_change: The minimum change of the metric that counts as an improvement.
        seconds: The time limit in seconds, counted from the construction of this object, plus the
            time before a resumed run was interrupted; None for no limit.
        target_loss: A training loss below this value ends the run; None for no target.
        lowest_loss: The lowest training loss so far.
    """

    monitor: Monitor
    patience: int | None = None
    min_change: float = 0.0
    seconds: float | None = None
    target_loss: float | None = None
    lowest_loss: float = float("inf")
    _best: float | None = None
    _without_improvement: int = 0
    _seconds_before: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    @property
    def evaluations_left(self) -> float:
        """The number of evaluations after which training may stop at the earliest."""
        if self.patience is None:
            return float("inf")
        return max(1, self.patience - self._without_improvement)

    def after_block(self, losses: Sequence[float]) -> str | None:
        """Updates the state with the losses of a block of steps; returns a reason to stop, or None.

        The reason is recorded in run.json as `stopped`.
        """
        self.lowest_loss = min(self.lowest_loss, *losses)
        if self.target_loss is not None and self.lowest_loss < self.target_loss:
            return f"train/loss fell below {self.target_loss}"
        if self.seconds is not None and self._seconds_so_far() >= self.seconds:
            return f"the time limit of {self.seconds:g} s was reached"
        return None

    def after_evaluation(self, values: Mapping[str, float]) -> str | None:
        """Updates the state with an evaluation; returns a reason to stop, or None."""
        value = values[self.monitor.metric]
        # Not compared with `BestWeights`, which counts any gain: with `min_change`, several small
        # gains in a row must add up to one improvement.
        if self.monitor.gain(value, self._best) > self.min_change:
            self._best, self._without_improvement = value, 0
        else:
            self._without_improvement += 1
        if self.patience is None or self._without_improvement < self.patience:
            return None
        return f"{self.monitor.metric} has not improved for {self.patience} evaluations"

    def state_dict(self) -> dict[str, float | None]:
        """Returns the state, for a checkpoint."""
        return {
            "lowest_loss": self.lowest_loss,
            "best": self._best,
            "without_improvement": self._without_improvement,
            "seconds": self._seconds_so_far(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state that `state_dict` returned."""
        self.lowest_loss, self._best = state["lowest_loss"], state.get("best")
        self._without_improvement = state["without_improvement"]
        self._seconds_before, self._started = state["seconds"], time.monotonic()

    def _seconds_so_far(self) -> float:
        return self._seconds_before + time.monotonic() - self._started
