"""Means with their uncertainty, and t-tests of the difference between two of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.special import stdtr, stdtrit  # much quicker to import than scipy.stats

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE
NO_SPREAD = 1e-6
"""A standard error that is a smaller share of the values is rounding."""

Group = Mapping[Any, float]
"""Repeats of one measurement, by what distinguishes them: the seed, or a tuple of values."""


@dataclass(frozen=True)
class MetricSummary:
    """Repeats of one measurement.

    Attributes:
        mean: Their mean.
        deviation: Their standard deviation (n - 1); None for a single one.
        half_width: Half of the 95 % t-interval around the mean; None for a single one.
        count: The number of repeats, n.
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


def summarize(values: Sequence[float]) -> MetricSummary:
    """Returns mean, standard deviation and interval of at least one finite value.

    The interval is mean ± t · s / √n, where t is the quantile of Student's distribution with n - 1
    degrees of freedom.
    """
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return MetricSummary(mean, None, None, 1)
    deviation = math.sqrt(variance(values))
    half_width = critical_t(len(values) - 1) * deviation / math.sqrt(len(values))
    return MetricSummary(mean, deviation, half_width, len(values))


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test of the difference between the means of two groups of repeats.

    Attributes:
        name: `paired`, over the differences within pairs of repeats, or `Welch`, for unequal
            variances.
        difference: The first mean minus the second.
        error: The standard error of the difference; 0 if the repeats have no spread.
        freedom: The degrees of freedom.
    """

    name: str
    difference: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        """The probability of a difference at least as large, were there none."""
        if self.error == 0:
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * stdtr(self.freedom, -abs(self.difference) / self.error))

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval around the difference."""
        return critical_t(self.freedom) * self.error


def t_test(these: Group, those: Group) -> TTest | None:
    """Compares two groups of repeats; None if one of them has fewer than two.

    Repeats of the same names are paired, which removes what a seed or a split does to both. Welch's
    test is used for other names, and where the differences of all pairs are equal, as those of two
    rounded accuracies may be by chance: they show no noise at all.
    """
    if min(len(these), len(those)) < 2:
        return None
    if these.keys() == those.keys():
        differences = [these[name] - those[name] for name in these]
        error = math.sqrt(variance(differences) / len(differences))
        mean = math.fsum(differences) / len(differences)
        largest = max(map(abs, [*these.values(), *those.values()]))
        if error > NO_SPREAD * largest or mean == 0:
            return TTest("paired", mean, error, len(differences) - 1)
    return _welch(list(these.values()), list(those.values()))


def _welch(these: Sequence[float], those: Sequence[float]) -> TTest:
    """Welch's t-test; the degrees of freedom are those of Welch and Satterthwaite."""
    groups = (these, those)
    difference = math.fsum(these) / len(these) - math.fsum(those) / len(those)
    errors = [variance(values) / len(values) for values in groups]
    error = sum(errors)
    if math.sqrt(error) <= NO_SPREAD * max(map(abs, [*these, *those])):
        return TTest("Welch", difference, 0.0, len(these) + len(those) - 2)
    # Shares of the whole, since the squares of small variances underflow.
    shares = [(one / error) ** 2 / (len(v) - 1) for one, v in zip(errors, groups, strict=True)]
    return TTest("Welch", difference, math.sqrt(error), 1 / sum(shares))


def variance(values: Sequence[float]) -> float:
    """Returns the variance (n - 1) of at least two values."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def critical_t(freedom: float, level: float = SIGNIFICANCE) -> float:
    """Returns the value that |t| exceeds with the probability `level`."""
    return -float(stdtrit(freedom, level / 2))
