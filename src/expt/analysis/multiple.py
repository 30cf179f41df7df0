"""Tests of several groups against the best of them, where the best was picked from the same data.

An uncorrected t-test of the best against the worst ignores that both were picked: among ten equal
groups, they differ "significantly" in every second table. The tests here correct for that in three
ways:

1. Holm's correction (Holm 1979) covers *all* k (k - 1) / 2 pairs of k groups, not only the k - 1
   pairs that are shown. Any group could have been the best; whichever it is, its pairs are among
   those corrected for. Tukey's test controls the error over all pairs for the same reason.
2. The noise is pooled over the groups. Three seeds leave a single pair two to four degrees of
   freedom, but a table of ten groups about eighteen.
3. Groups with unequal noise are treated conservatively. The noise is attributed to the effective
   number of groups that share it, ε · k (Box 1954): the pooled variance is divided by ε, and its
   degrees of freedom are multiplied by ε. In addition, the standard error of a pair is never
   smaller than that of its own t-test, and the pair's own test (paired or Welch's) has to be
   significant as well, at half the level if there are more than two groups.

`scripts/aa_sweeps.py` measures by simulation how often equal groups are declared different.

References:
    Box (1954), Some theorems on quadratic forms applied in the study of analysis of variance
        problems, I. Effect of inequality of variance in the one-way classification, Annals of
        Mathematical Statistics 25, 290-302.
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
        Statistics 6, 65-70.
    Montgomery, Design and Analysis of Experiments, the chapter on the randomized complete block
        design.
    Tukey (1953), The problem of multiple comparisons, unpublished manuscript.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from expt.analysis.statistics import (
    NO_SPREAD,
    SIGNIFICANCE,
    Group,
    TTest,
    critical_t,
    t_test,
)

# The p-values of all pairs take memory that is quadratic in the number of groups. With more groups
# than this, every pair gets Holm's first and largest factor, which is Bonferroni's correction.
_MOST_RANKED = 1000


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The difference between a group's mean and that of the best group.

    Attributes:
        value: The mean of the group minus the mean of the best group.
        low: The lower end of the confidence interval. Its level is the one at which Holm's method
            tests the pair, so that the interval excludes 0 exactly if the difference is
            significant.
        high: The upper end of the interval.
        test: The t-test of the pair alone: `paired` or `Welch`.
        p: The p-value of that test, not corrected.
        corrected: The p-value corrected for all pairs, and thereby for picking the best group.
        count: The number of replicates in the smaller of the two groups.
    """

    value: float
    low: float
    high: float
    test: str
    p: float
    corrected: float
    count: int

    @property
    def is_significant(self) -> bool:
        """Whether the difference is significant at the 5 % level after the correction."""
        return self.corrected < SIGNIFICANCE

    @property
    def half_width(self) -> float:
        """Half of the width of the interval."""
        return (self.high - self.low) / 2

    def is_within(self, margin: float) -> bool:
        """Whether the whole interval lies within ±margin, the condition of equivalence.

        This is the interval form of two one-sided tests (Schuirmann 1987, A comparison of the two
        one-sided tests procedure and the power approach for assessing the equivalence of average
        bioavailability, Journal of Pharmacokinetics and Biopharmaceutics 15, 657-680). The
        interval is the corrected 95 % one instead of the usual 90 %, which makes the rule stricter.
        """
        return -margin <= self.low and self.high <= margin


@dataclass(frozen=True)
class Noise:
    """The residual variance of a table of groups.

    Attributes:
        variance: The variance of a single value, pooled over the groups and divided by ε.
        freedom: The degrees of freedom of the variance, multiplied by ε.
        evenness: Box's ε, between 1 / k and 1: the share of the k groups that carry the noise. It
            is 1 if all groups are equally noisy.
    """

    variance: float
    freedom: float
    evenness: float


def differences_to(
    groups: Sequence[Group], best: int, num_other_pairs: int = 0
) -> list[Difference | None]:
    """Tests each group against the best one, corrected for having picked the best.

    Two tests of a pair are combined, and the weaker result counts. With n₁ and n₂ replicates, the
    pooled variance s² of `pooled_noise` and the pair's own `t_test`:

        error = max(s · √(1 / n₁ + 1 / n₂), own error)
        corrected p = min(1, max(m · p of the pooled test, c · own p))
        half of the interval = max(error · t(1 - 0.025 / m, f), own error · t(1 - 0.025 / c, own f))

    where m is Holm's factor (see `_multipliers`), c is 2 or, if there is only one pair, 1, and f
    are the degrees of freedom; t(q, f) is the q-quantile of Student's t distribution.

    Args:
        groups: The finite values of each group by replicate.
        best: The index of the best group.
        num_other_pairs: The number of pairs that are tested elsewhere in the same report and that
            the correction has to cover too.

    Returns:
        A difference for each group. It is None for the best group, for groups with fewer than two
        replicates, and for all groups if the best one has fewer than two replicates or if there is
        no noise to measure.
    """
    found: list[Difference | None] = [None] * len(groups)
    tested = [index for index, group in enumerate(groups) if len(group) > 1]
    kept = [groups[index] for index in tested]
    noise = pooled_noise(kept)
    if best not in tested or noise is None:
        return found
    multipliers = _multipliers(kept, noise, tested.index(best), num_other_pairs)
    # Bonferroni's factor for the additional test; a table with a single pair picks nothing.
    own_factor = 1 if len(kept) == 2 and not num_other_pairs else 2
    for index, multiplier in zip(tested, multipliers, strict=True):
        own = t_test(groups[index], groups[best])
        if index != best and own is not None:
            sizes = len(groups[index]), len(groups[best])
            error = math.sqrt(noise.variance * (1 / sizes[0] + 1 / sizes[1]))
            pooled = TTest("pooled", own.difference, max(error, own.error), noise.freedom)
            found[index] = _combined(own, own_factor, pooled, multiplier, min(sizes))
    return found


def _combined(
    own: TTest, own_factor: int, pooled: TTest, multiplier: float, count: int
) -> Difference:
    """Combines the two tests of a pair: the larger p-value and the wider interval count."""
    # A p-value times a factor is below 5 % exactly if the interval at the level 5 % / factor
    # excludes 0. The two maxima therefore always agree on the significance.
    half_width = max(
        one.error * critical_t(one.freedom, SIGNIFICANCE / factor)
        for one, factor in ((own, own_factor), (pooled, multiplier))
    )
    return Difference(
        value=own.difference,
        low=own.difference - half_width,
        high=own.difference + half_width,
        test=own.name,
        p=own.p,
        corrected=min(1.0, max(own.p * own_factor, pooled.p * multiplier)),
        count=count,
    )


def pooled_noise(groups: Sequence[Group]) -> Noise | None:
    """Pools the residual variance over groups with at least two replicates each.

    If all k groups have the same n replicates, the residuals are those of a randomized complete
    block design, which removes the effect that a replicate (a seed, a split) has on all groups:

        r[i, j] = y[i, j] - ȳ[i, ·] - ȳ[·, j] + ȳ[·, ·],  freedom = (k - 1) (n - 1)

    Otherwise they are the deviations from the group means, as in a one-way analysis of variance:

        r[i, j] = y[i, j] - ȳ[i, ·],  freedom = Σ (n[i] - 1)

    The pooled variance is s² = Σ r² / freedom. It is then corrected for groups of unequal noise by
    Box's ε; see `Noise`.

    Returns:
        The noise, or None if there are fewer than two groups, or no replicates differ.
    """
    if len(groups) < 2:
        return None
    largest = max(abs(value) for group in groups for value in group.values())
    is_complete = all(group.keys() == groups[0].keys() for group in groups)
    # The residuals of blocks may all be 0 by chance, if the values are rounded: the deviations from
    # the group means are tried next.
    for is_blocked in (True, False) if is_complete else (False,):
        noise = _noise(*_sums_of_squares(groups, is_blocked))
        if math.sqrt(noise.variance) > NO_SPREAD * largest:
            return noise
    return None


def _noise(squares: NDArray[np.float64], freedoms: NDArray[np.float64]) -> Noise:
    """Pools the variances of groups, with Box's correction for unequal variances (Box 1954).

    With s²[i] = squares[i] / freedoms[i], f = Σ freedoms and the pooled s² = Σ squares / f:

        ε = s⁴ / (Σ freedoms[i] · E[i] / f),  E[i] = s⁴[i] · freedoms[i] / (freedoms[i] + 2)

    E[i] is an unbiased estimate of σ⁴[i]. ε is clipped to its possible range, [1 / k, 1].

    Args:
        squares: The sum of squared residuals of each group, shape [k].
        freedoms: The degrees of freedom of each group, shape [k].
    """
    freedom = float(freedoms.sum())
    pooled = float(squares.sum()) / freedom
    if pooled == 0:
        return Noise(0.0, freedom, 1.0)
    # For normal values, E[s⁴] = σ⁴ (1 + 2 / f): without this factor few replicates alone would
    # look like unequal noise.
    relative = squares / freedoms / pooled
    mean_square = float((freedoms * relative**2 * freedoms / (freedoms + 2)).sum()) / freedom
    evenness = float(np.clip(1 / mean_square, 1 / len(squares), 1))
    return Noise(pooled / evenness, freedom * evenness, evenness)


def _sums_of_squares(
    groups: Sequence[Group], is_blocked: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the sum of squared residuals of each group, and its share of the degrees of freedom.

    The share is n - 1, or (n - 1) (k - 1) / k in blocks, where n is the size of the group.

    Args:
        groups: The k groups; with the same replicates if `is_blocked`.
        is_blocked: Whether to remove the effect of each replicate; see `pooled_noise`.

    Returns:
        Two arrays of shape [k].
    """
    sizes = np.array([len(group) for group in groups], np.float64)
    if not is_blocked:
        values = [np.array(list(group.values())) for group in groups]
        return np.array([((one - one.mean()) ** 2).sum() for one in values]), sizes - 1
    matrix = np.array([[group[name] for name in groups[0]] for group in groups], np.float64)
    centered = matrix - matrix.mean(axis=1, keepdims=True)
    residuals = centered - centered.mean(axis=0)
    return (residuals**2).sum(axis=1), (sizes - 1) * (1 - 1 / len(groups))


def _multipliers(
    groups: Sequence[Group], noise: Noise, best: int, num_other_pairs: int
) -> list[float]:
    """Returns Holm's factor for the p-value of each group against the best one.

    With the p-values of all m pairs in ascending order, the adjusted values are (Holm 1979)

        p̃[i] = max over j ≤ i of (m - j + 1) · p[j],  i = 1, …, m

    The factor of a pair is p̃ / p, so that the same factor applies to its confidence interval.

    Args:
        groups: All tested groups.
        noise: The pooled noise, from which the p-values are computed.
        best: The index of the best group.
        num_other_pairs: The number of additional pairs in m.

    Returns:
        A factor between 1 and m for each group; that of the best group has no meaning.
    """
    count = len(groups)
    num_pairs = count * (count - 1) // 2 + num_other_pairs
    if count > _MOST_RANKED:
        return [float(num_pairs)] * count
    means = np.array([math.fsum(group.values()) / len(group) for group in groups])
    shares = np.array([1 / len(group) for group in groups])
    errors = np.sqrt(noise.variance * (shares[:, None] + shares))
    p_values = 2 * stdtr(noise.freedom, -np.abs(means[:, None] - means) / errors)
    ordered = np.sort(p_values[np.triu_indices(count, 1)])
    products = np.maximum.accumulate(ordered * (num_pairs - np.arange(len(ordered))))
    row = p_values[best]
    ranks = np.minimum(np.searchsorted(ordered, row), len(ordered) - 1)
    # A p-value underflows to 0 where groups differ by many standard errors; p̃ / p is then 0 / 0,
    # and the largest factor is the safe one.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(row > 0, products[ranks] / row, num_pairs)
    return [float(value) for value in np.clip(found, 1, num_pairs)]
