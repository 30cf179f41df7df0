"""Differences to the best of several groups, where the same data chose the best.

A t-test of one pair knows nothing of the other groups: of ten equal groups, the best and the worst
differ "significantly" in every second table. Three things correct that.

1. Holm's correction covers *all* pairs of groups, k (k - 1) / 2, and not only the k - 1 that are
   shown. Any group could have been the best; whichever it is, its pairs are among those that were
   corrected for, as in Tukey's test (Holm 1979).
2. The noise is pooled over the groups: the residual variance of a randomized complete block design
   if all groups have the same replicates, else the variance within groups. Three seeds leave a pair
   two to four degrees of freedom, and a table of ten groups about eighteen.
3. Groups may differ in their noise. All of it is then attributed to the effective number of groups
   that share it, ε · k: the variance is divided by ε and the degrees of freedom are multiplied by
   it (ε as of Box 1954, from the groups' variances). Besides, a pair's standard error is never less
   than that of its own t-test, and that test, paired or Welch's, has to be significant too, at half
   the level if there are more than two groups.

`scripts/aa_sweeps.py` checks by simulation how often equal groups are declared different.
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

_MOST_RANKED = 1000  # groups; of more, Holm's first step is all of it: memory is quadratic


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A group's difference to the best one.

    Attributes:
        value: The group's mean minus the best one's.
        low: The lower end of its interval, at the level at which Holm's method tests the pair: it
            excludes 0 exactly if the difference is significant.
        high: The interval's upper end.
        test: The t-test of the pair alone: `paired` or `Welch`.
        p: Its p-value, not corrected.
        corrected: The p-value corrected for all pairs, and so for the choice of the best.
        count: The number of replicates in the smaller group.
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
        """Whether the difference is significant at 5 % after the correction."""
        return self.corrected < SIGNIFICANCE

    @property
    def half_width(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2

    def is_within(self, margin: float) -> bool:
        """Whether the interval lies within ±margin."""
        return -margin <= self.low and self.high <= margin


@dataclass(frozen=True)
class Noise:
    """The variance of single values around what their group and replicate predict.

    Attributes:
        variance: The variance, pooled over the groups that share it.
        freedom: Its degrees of freedom.
        evenness: ε, the share of the groups that share the noise: 1 if all are equally noisy.
    """

    variance: float
    freedom: float
    evenness: float


def differences_to(
    groups: Sequence[Group], best: int, num_other_pairs: int = 0
) -> list[Difference | None]:
    """Compares each group with one of them that was chosen by its mean.

    Args:
        groups: The values of each by replicate, all finite.
        best: The index of the chosen one.
        num_other_pairs: Pairs that are tested elsewhere and corrected for too.

    Returns:
        One for each group; None for the chosen one, for groups of fewer than two replicates (all,
        if the chosen one has fewer), and if the replicates of no group differ.
    """
    found: list[Difference | None] = [None] * len(groups)
    tested = [index for index, group in enumerate(groups) if len(group) > 1]
    kept = [groups[index] for index in tested]
    noise = pooled_noise(kept)
    if best not in tested or noise is None:
        return found
    multipliers = _multipliers(kept, noise, tested.index(best), num_other_pairs)
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
    """Both tests have to be significant: the larger p-value counts, and the wider interval."""
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
    """Pools the noise of groups of at least two replicates; None if no replicates differ."""
    if len(groups) < 2:
        return None
    largest = max(abs(value) for group in groups for value in group.values())
    is_complete = all(group.keys() == groups[0].keys() for group in groups)
    # Without the second, of blocks: the differences of rounded values may all be equal by chance.
    for is_blocked in (True, False) if is_complete else (False,):
        noise = _noise(*_sums_of_squares(groups, is_blocked))
        if math.sqrt(noise.variance) > NO_SPREAD * largest:
            return noise
    return None


def _noise(squares: NDArray[np.float64], freedoms: NDArray[np.float64]) -> Noise:
    freedom = float(freedoms.sum())
    pooled = float(squares.sum()) / freedom
    if pooled == 0:
        return Noise(0.0, freedom, 1.0)
    # The square of a variance estimate of f degrees of freedom is too large by 1 + 2 / f.
    relative = squares / freedoms / pooled
    mean_square = float((freedoms * relative**2 * freedoms / (freedoms + 2)).sum()) / freedom
    evenness = float(np.clip(1 / mean_square, 1 / len(squares), 1))
    return Noise(pooled / evenness, freedom * evenness, evenness)


def _sums_of_squares(
    groups: Sequence[Group], is_blocked: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns each group's sum of squared residuals, and its share of the degrees of freedom."""
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
    """Returns by what Holm multiplies each group's p-value against the best one.

    Sorted by their p-values, the first of m pairs is multiplied by m, the next by m - 1 and so on;
    no product is less than the one before.
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
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(row > 0, products[ranks] / row, num_pairs)
    return [float(value) for value in np.clip(found, 1, num_pairs)]
