"""Means with their uncertainty, and whether two of them differ by more than chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from scipy.special import stdtr, stdtrit  # much quicker to import than scipy.stats

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE
_NO_SPREAD = 1e-6  # of the values: what is less is rounding


@dataclass(frozen=True)
class Summary:
    """What some repeats of one measurement tell.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation (n - 1); None for a single one.
        half_width: Half of the 95 % t-interval around the mean; None for a single one.
        count: How many there are, n.
    """

    mean: float
    deviation: float | None
    half_width: float | None
    count: int

    @property
    def low(self) -> float | None:
        """The interval's lower end."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """The interval's upper end."""
        return None if self.half_width is None else self.mean + self.half_width


def summarize(values: Sequence[float]) -> Summary:
    """Returns mean, standard deviation and interval of at least one finite value.

    The interval is mean ± t · s / √n, where t is the quantile of Student's distribution with n - 1
    degrees of freedom.
    """
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return Summary(mean, None, None, 1)
    deviation = math.sqrt(_variance(values, mean))
    half_width = _quantile(len(values) - 1) * deviation / math.sqrt(len(values))
    return Summary(mean, deviation, half_width, len(values))


@dataclass(frozen=True)
class Difference:
    """Whether two sets of repeats differ by more than chance.

    Attributes:
        test: `paired`, the t-test of the differences seed by seed, or `Welch`, the t-test for
            unequal variances.
        p: The two-sided probability of a difference as large, were there none.
    """

    test: str
    p: float

    @property
    def is_noise(self) -> bool:
        """Whether the difference is within noise, at the level of 5 %."""
        return self.p >= SIGNIFICANCE


def difference(these: Mapping[int, float], those: Mapping[int, float]) -> Difference | None:
    """Compares two sets of repeats, both by seed.

    Pairs take out what a seed does to both: the same data order, often the same initial weights.
    They need the same seeds, and differences that are not all equal, as those of two rounded
    accuracies may be by chance: of these nothing can be learned about noise.

    Returns:
        None if a set has fewer than two repeats: then nothing can be told.
    """
    if min(len(these), len(those)) < 2:
        return None
    if these.keys() == those.keys():
        differences = [these[seed] - those[seed] for seed in these]
        mean = math.fsum(differences) / len(differences)
        error = _variance(differences, mean) / len(differences)
        if math.sqrt(error) > _NO_SPREAD * max(map(abs, these.values())) or mean == 0:
            return Difference("paired", _p(mean, error, len(differences) - 1))
    return Difference("Welch", _welch(list(these.values()), list(those.values())))


def _welch(these: Sequence[float], those: Sequence[float]) -> float:
    """Welch's t-test; its degrees of freedom are those of Welch and Satterthwaite."""
    means = [math.fsum(values) / len(values) for values in (these, those)]
    errors = [
        _variance(values, mean) / len(values)
        for values, mean in zip((these, those), means, strict=True)
    ]
    error = sum(errors)
    if error == 0:
        return _p(means[0] - means[1], 0.0, 1)
    shares = [one**2 / (len(v) - 1) for one, v in zip(errors, (these, those), strict=True)]
    return _p(means[0] - means[1], error, error**2 / sum(shares))


def _p(mean: float, squared_error: float, freedom: float) -> float:
    if squared_error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(mean) / math.sqrt(squared_error)))


def _variance(values: Sequence[float], mean: float) -> float:
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@cache
def _quantile(freedom: int) -> float:
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
