"""Watching validation: which model is the best, and when to stop."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Monitor:
    """The metric that tells better models from worse ones.

    Attributes:
        metric: Its full name, such as `val/loss`.
        larger_is_better: Its direction.
    """

    metric: str
    larger_is_better: bool = False

    def gain(self, value: float, over: float | None) -> float:
        """By how much a value is better than another one; infinity if there is none yet.

        A value that is not finite gains nothing.
        """
        if not np.isfinite(value):
            return float("-inf")
        if over is None:
            return float("inf")
        return value - over if self.larger_is_better else over - value


@dataclass
class BestWeights:
    """The weights of the best evaluation so far.

    Attributes:
        networks: The models in training.
        monitor: What tells which evaluation is the best.
        step: The step of that evaluation; None before the first finite one.
        values: Its loss and metrics by full name.
    """

    PREFIX: ClassVar[str] = "best "
    """With what the names of its arrays begin."""

    networks: Sequence[keras.Model]
    monitor: Monitor
    step: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    _weights: list[list[Any]] = field(default_factory=list)

    def consider(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps a copy of the networks' weights if these values are the best so far."""
        name = self.monitor.metric
        if self.monitor.gain(values[name], self.values.get(name)) > 0:
            self.step, self.values = step, dict(values)
            self._weights = [network.get_weights() for network in self.networks]

    def restore(self) -> None:
        """Puts the best weights back into the networks; there must be some."""
        assert self.step is not None
        for network, weights in zip(self.networks, self._weights, strict=True):
            network.set_weights(weights)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the best weights by name, for a checkpoint."""
        return self._named(self._weights)

    def variables(self) -> dict[str, Any]:
        """Returns the weights in training by the names that `arrays` gives their best values."""
        return self._named([network.weights for network in self.networks])

    def _named(self, weights: Sequence[Sequence[Any]]) -> dict[str, Any]:
        return {
            f"{self.PREFIX}{network}/{index:04d}": each
            for network, of_network in enumerate(weights)
            for index, each in enumerate(of_network)
        }

    def restore_seen(
        self, step: int | None, values: Mapping[str, float], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        """Brings back what a checkpoint holds.

        Args:
            step: The step of the best evaluation; None if there was none.
            values: Its loss and metrics by full name.
            arrays: What `arrays` returned.
        """
        self.step, self.values = step, dict(values)
        by_network = [f"{self.PREFIX}{network}/" for network in range(len(self.networks))]
        self._weights = [
            [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]
            for prefix in by_network
            if step is not None
        ]


@dataclass
class EarlyStopping:
    """What may end a run before its last step.

    Attributes:
        monitor: What early stopping goes by.
        patience: After how many evaluations in a row without improvement to stop; None is never.
        min_change: What the watched metric must change by to count as improved.
        seconds: After how long to stop, counted from the making of this, and before the run was
            interrupted; None is never.
        target_loss: A training loss below this ends the run; None is never.
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

    def after_block(self, losses: Sequence[float]) -> str | None:
        """Returns why to stop after a block of steps with these losses, or None."""
        self.lowest_loss = min(self.lowest_loss, *losses)
        if self.target_loss is not None and self.lowest_loss < self.target_loss:
            return f"train/loss fell below {self.target_loss}"
        if self.seconds is not None and self._seconds_so_far() >= self.seconds:
            return f"the time limit of {self.seconds:g} s was reached"
        return None

    def after_evaluation(self, values: Mapping[str, float]) -> str | None:
        """Returns why to stop after an evaluation, or None."""
        value = values[self.monitor.metric]
        if self.monitor.gain(value, self._best) > self.min_change:
            self._best, self._without_improvement = value, 0
        else:
            self._without_improvement += 1
        if self.patience is None or self._without_improvement < self.patience:
            return None
        return f"{self.monitor.metric} has not improved for {self.patience} evaluations"

    def seen(self) -> dict[str, float | None]:
        """Returns what it has seen so far, for a checkpoint."""
        return {
            "lowest_loss": self.lowest_loss,
            "best": self._best,
            "without_improvement": self._without_improvement,
            "seconds": self._seconds_so_far(),
        }

    def restore_seen(self, seen: Mapping[str, Any]) -> None:
        """Brings back what `seen` returned."""
        self.lowest_loss, self._best = seen["lowest_loss"], seen.get("best")
        self._without_improvement = seen["without_improvement"]
        self._seconds_before, self._started = seen["seconds"], time.monotonic()

    def _seconds_so_far(self) -> float:
        return self._seconds_before + time.monotonic() - self._started
