"""The evaluation of a learning-rate range test: the smoothed loss, its divergence, a suggestion.

Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186,
section 3.3, in the form of fastai's `lr_find` and PyTorch Lightning's `lr_find`.
"""

import math
from dataclasses import dataclass, field

import numpy as np

SUGGESTED_RATE = "lr_finder/learning_rate"
"""The metric with the suggested rate: recorded at the last step, and in `final` of run.json."""

_DECAY = 0.95  # of the moving average, which is then about that of the last 20 losses
_DIVERGED = 4  # multiple of the smallest smoothed loss, as in fastai and Lightning
_FEWEST = 10  # points of a test with a suggestion


@dataclass
class RangeTest:
    """The points of a range test, in the order of the steps.

    Attributes:
        rates: The learning rates, rising.
        losses: The loss after an update with each rate.
        smoothed: The moving averages m_t / (1 - β^t) of the losses, with m_t = β m_(t-1) +
            (1 - β) l_t, m_0 = 0 and β = 0.95.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    _rate: float = 0.0
    _average: float = 0.0

    def add(self, rate: float, loss: float) -> None:
        """Adds a step.

        Args:
            rate: The learning rate of the step.
            loss: The loss of the step, before its update.
        """
        # The loss of a step shows the effect of the previous update. A rate that does not exceed
        # the previous ones adds no point: a step that mixed precision skipped, or Adafactor's
        # bound on the rate.
        if self._rate > max(self.rates, default=0.0) and math.isfinite(loss):
            self._average = _DECAY * self._average + (1 - _DECAY) * loss
            self.rates.append(self._rate)
            self.losses.append(loss)
            self.smoothed.append(self._average / (1 - _DECAY ** len(self.rates)))
        self._rate = rate

    @property
    def has_diverged(self) -> bool:
        """Whether the smoothed loss exceeds its start, and four times its minimum.

        For a minimum m below 0, which has no multiples that are larger, the limit is m + 3 |m|.
        """
        if not self.smoothed:
            return False
        smallest = min(self.smoothed)
        limit = smallest + (_DIVERGED - 1) * abs(smallest)
        return self.smoothed[-1] > max(limit, self.smoothed[0])

    def suggestion(self) -> float | None:
        """Returns a tenth of the rate with the smallest smoothed loss, rounded to two digits.

        fastai's rule "minimum / 10". The rate of the steepest descent, which PyTorch Lightning
        suggests, is often closer to the best one, but far too high where the loss falls once more
        while it diverges: of deep networks with saturating activations, for example.

        Returns:
            The rate; None if the loss has not fallen.
        """
        if len(self.smoothed) < _FEWEST:
            return None
        lowest = int(np.argmin(self.smoothed))
        # The first points are means of few losses. Means of equal losses differ by rounding.
        if lowest < _FEWEST // 2 or math.isclose(self.smoothed[lowest], self.smoothed[0]):
            return None
        return float(f"{self.rates[lowest] / 10:.1e}")
