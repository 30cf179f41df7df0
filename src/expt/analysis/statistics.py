"""Means with confidence intervals, and t-tests of the difference between two means.

References:
    Student (1908), The probable error of a mean, Biometrika 6, 1-25.
    Satterthwaite (1946), An approximate distribution of estimates of variance components,
        Biometrics Bulletin 2, 110-114.
    Welch (1947), The generalization of "Student's" problem when several different population
        variances are involved, Biometrika 34, 28-35.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# scipy.stats has the same functions, but takes much longer to import.
from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
"""The confidence level of all intervals."""

SIGNIFICANCE = 1 - CONFIDENCE
"""The significance level of all tests."""

# Metrics are recorded as float32, whose rounding error is about 6e-8 of the value: a standard error
# below this share of the largest value is rounding and not noise.
NO_SPREAD = 1e-6
"""The share of the largest value below which a standard error counts as zero."""

Group = Mapping[Any, float]
"""The values of one metric by replicate; a key is a seed, or a tuple of parameter values."""


@dataclass(frozen=True)
class MetricSummary:
    """The mean of one metric over replicates, with its uncertainty.

    Attributes:
        mean: The mean.
        deviation: The sample standard deviation, with n - 1 in the denominator; None if n is 1.
        half_width: Half of the width of the 95 % t-interval around the mean; None if n is 1.
        count: The number of replicates, n.
    """

    mean: float
    deviation: float | None
    half_width: float | None
    count: int

    @property
    def low(self) -> float | None:
        """The lower end of the interval."""
        return None if self.half_width is None else self.mean - self.half_width

    @property
    def high(self) -> float | None:
        """The upper end of the interval."""
        return None if self.half_width is None else self.mean + self.half_width


def summarize(values: Sequence[float]) -> MetricSummary:
    """Returns the mean, standard deviation and 95 % interval of at least one finite value.

    The interval is Student's (1908), for independent and roughly normal values:

        x̄ ± t(0.975, n - 1) · s / √n

    where t(q, f) is the q-quantile of Student's t distribution with f degrees of freedom, and s is
    the sample standard deviation.
    """
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return MetricSummary(mean, None, None, 1)
    deviation = math.sqrt(variance(values))
    half_width = critical_t(len(values) - 1) * deviation / math.sqrt(len(values))
    return MetricSummary(mean, deviation, half_width, len(values))


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test of the difference between two means.

    The statistic is t = difference / error; under the null hypothesis of equal means it follows
    Student's t distribution.

    Attributes:
        name: `paired` (on the differences within pairs of replicates), `Welch` (two independent
            groups with unequal variances) or `pooled` (with the noise of a whole table).
        difference: The first mean minus the second.
        error: The standard error of the difference; 0 if the values have no spread.
        freedom: The degrees of freedom.
    """

    name: str
    difference: float
    error: float
    freedom: float

    @property
    def p(self) -> float:
        """The two-sided p-value, 2 · P(T ≤ -|difference| / error)."""
        if self.error == 0:  # deterministic values: any difference at all is certain
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * stdtr(self.freedom, -abs(self.difference) / self.error))

    @property
    def half_width(self) -> float:
        """Half of the width of the 95 % interval around the difference."""
        return critical_t(self.freedom) * self.error


def t_test(these: Group, those: Group) -> TTest | None:
    """Tests the difference between the means of two groups of replicates.

    Groups with the same keys are compared by the paired t-test, which removes the effect that a
    seed or a split has on both: for the n differences d = these - those,

        error = s(d) / √n,  freedom = n - 1

    All other groups are compared by Welch's t-test.

    Returns:
        The test of these minus those, or None if one of the groups has fewer than two replicates.
    """
    if min(len(these), len(those)) < 2:
        return None
    if these.keys() == those.keys():
        differences = [these[name] - those[name] for name in these]
        error = math.sqrt(variance(differences) / len(differences))
        mean = math.fsum(differences) / len(differences)
        largest = max(map(abs, [*these.values(), *those.values()]))
        # The differences of rounded accuracies may all be equal by chance. A paired test would then
        # find a standard error of zero, and call any difference certain; Welch's test does not.
        if error > NO_SPREAD * largest or mean == 0:
            return TTest("paired", mean, error, len(differences) - 1)
    return _welch(list(these.values()), list(those.values()))


def _welch(these: Sequence[float], those: Sequence[float]) -> TTest:
    """Returns Welch's t-test (Welch 1947).

    With v = s² / n for each group, the degrees of freedom are those of Welch and Satterthwaite:

        error = √(v₁ + v₂),  freedom = (v₁ + v₂)² / (v₁² / (n₁ - 1) + v₂² / (n₂ - 1))
    """
    groups = (these, those)
    difference = math.fsum(these) / len(these) - math.fsum(those) / len(those)
    squares = [variance(values) / len(values) for values in groups]  # v₁ and v₂
    total = sum(squares)
    error = math.sqrt(total)
    if error <= NO_SPREAD * max(map(abs, [*these, *those])):
        return TTest("Welch", difference, 0.0, len(these) + len(those) - 2)
    # Divided by v₁ + v₂ first, since the squares of small variances would underflow.
    shares = [(one / total) ** 2 / (len(v) - 1) for one, v in zip(squares, groups, strict=True)]
    return TTest("Welch", difference, error, 1 / sum(shares))


def variance(values: Sequence[float]) -> float:
    """Returns the sample variance of at least two values, with n - 1 in the denominator."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def critical_t(freedom: float, level: float = SIGNIFICANCE) -> float:
    """Returns the two-sided critical value of t: |t| exceeds it with the probability `level`."""
    return -float(stdtrit(freedom, level / 2))
