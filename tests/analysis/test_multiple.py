"""Tests of the corrected comparison with the best group, against references in SciPy."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from expt.analysis.multiple import Difference, differences_to, pooled_noise

Matrix = NDArray[np.float64]


def groups_of(values: Matrix, is_paired: bool = True) -> list[dict[int, float]]:
    """Returns a group for each row; if not paired, no two groups share a replicate."""
    width = values.shape[1]
    return [
        {(0 if is_paired else row * width) + column: float(value) for column, value in enumerate(v)}
        for row, v in enumerate(values)
    ]


def compared(values: Matrix, is_paired: bool = True, others: int = 0) -> list[Difference | None]:
    best = int(np.argmax(values.mean(axis=1)))
    return differences_to(groups_of(values, is_paired), best, others)


def table(num_groups: int, num_replicates: int, seed: int = 0, spread: float = 0.5) -> Matrix:
    random = np.random.default_rng(seed)
    means = random.normal(0, spread, (num_groups, 1))
    return (
        means
        + random.normal(0, 1, num_replicates)
        + random.normal(0, 0.3, (num_groups, num_replicates))
    )


def reference(values: Matrix, is_paired: bool) -> list[tuple[float, float, float, float] | None]:
    """Returns the own p, corrected p and interval of each group, computed with SciPy alone."""
    count, size = values.shape
    if is_paired:
        residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        freedom = (count - 1) * (size - 1)
    else:
        residuals = values - values.mean(1, keepdims=True)
        freedom = count * (size - 1)
    each = freedom / count
    variances = (residuals**2).sum(axis=1) / each
    squares_without_bias = variances**2 * each / (each + 2)
    evenness = min(1, max(1 / count, variances.mean() ** 2 / squares_without_bias.mean()))
    variance, freedom_left = variances.mean() / evenness, freedom * evenness
    error = np.sqrt(2 * variance / size)
    means = values.mean(axis=1)
    pairs = list(combinations(range(count), 2))
    p_values = {
        (i, j): 2 * stats.t.sf(abs(means[i] - means[j]) / error, freedom_left) for i, j in pairs
    }
    factors, largest = {}, 0.0
    for rank, pair in enumerate(sorted(pairs, key=lambda pair: p_values[pair])):
        largest = max(largest, p_values[pair] * (len(pairs) - rank))
        factors[pair] = largest / p_values[pair]
    best, found = int(np.argmax(means)), list[tuple[float, float, float, float] | None]()
    doubled = 1 if count == 2 else 2
    for index in range(count):
        if index == best:
            found.append(None)
            continue
        first, second = values[index], values[best]
        own = (
            stats.ttest_rel(first, second)
            if is_paired
            else stats.ttest_ind(first, second, equal_var=False)
        )
        factor = factors[min(index, best), max(index, best)]
        wider = max(error, abs((means[index] - means[best]) / own.statistic))
        t = abs(means[index] - means[best]) / wider
        corrected = min(1, max(own.pvalue * doubled, factor * 2 * stats.t.sf(t, freedom_left)))
        pooled_half = stats.t.isf(0.025 / factor, freedom_left) * wider
        interval = own.confidence_interval(1 - 0.05 / doubled)
        half = max(pooled_half, (interval.high - interval.low) / 2)
        difference = means[index] - means[best]
        found.append((own.pvalue, corrected, difference - half, difference + half))
    return found


@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize(("count", "size"), [(2, 2), (2, 5), (3, 3), (10, 3), (20, 2), (6, 10)])
def test_results_equal_those_of_scipy(count: int, size: int, is_paired: bool) -> None:
    values = table(count, size, seed=count)
    for found, expected in zip(
        compared(values, is_paired), reference(values, is_paired), strict=True
    ):
        assert (found is None) == (expected is None)
        if found is None or expected is None:
            continue
        assert (found.p, found.corrected, found.low, found.high) == pytest.approx(
            expected, rel=1e-8
        )
        assert found.test == ("paired" if is_paired else "Welch")


@pytest.mark.parametrize("is_paired", [True, False])
def test_pooled_noise_equals_the_error_of_an_analysis_of_variance(is_paired: bool) -> None:
    """The references are SciPy's F-test, and least squares on a design matrix for blocks."""
    values = table(4, 6)
    noise = pooled_noise(groups_of(values, is_paired))
    assert noise is not None
    between = 6 * values.mean(axis=1).var(ddof=1)
    if not is_paired:
        expected = between / stats.f_oneway(*values).statistic
        assert noise.variance * noise.evenness == pytest.approx(expected, rel=1e-9)
        assert noise.freedom / noise.evenness == pytest.approx(20)
        return
    design = np.zeros((24, 9))
    for row, (group, block) in enumerate(np.ndindex(4, 6)):
        design[row, group] = 1
        if block:
            design[row, 3 + block] = 1
    _, residual, _, _ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    assert noise.variance * noise.evenness == pytest.approx(residual[0] / 15, rel=1e-9)


@pytest.mark.parametrize("is_paired", [True, False])
def test_two_groups_are_not_corrected(is_paired: bool) -> None:
    """A two-sided test already allows for either of two groups being the better one."""
    values = table(2, 4, seed=3)
    (found,) = filter(None, compared(values, is_paired))
    test = stats.ttest_rel(*values) if is_paired else stats.ttest_ind(*values, equal_var=False)
    assert found.p == pytest.approx(test.pvalue, rel=1e-9)
    assert found.corrected >= found.p * (1 - 1e-12)
    if is_paired:
        assert found.corrected == pytest.approx(found.p, rel=1e-9)


def test_ten_equal_groups_differ_only_in_the_uncorrected_test() -> None:
    declared, uncorrected = 0, 0
    for seed in range(100):
        values = np.random.default_rng(seed).normal(size=(10, 3))
        found = [one for one in compared(values) if one is not None]
        declared += any(one.is_significant for one in found)
        uncorrected += any(one.p < 0.05 for one in found)
    assert uncorrected > 35
    assert declared <= 5


def test_a_large_difference_is_found_with_three_seeds() -> None:
    found = 0
    for seed in range(50):
        values = np.random.default_rng(seed).normal(size=(10, 3))
        values[4] -= 8
        difference = compared(values)[4]
        found += difference is not None and difference.is_significant
    assert found >= 45


def test_one_noisy_group_among_quiet_ones_is_rarely_significant() -> None:
    """If the noise were pooled as equal, this would happen in more than every fifth table."""
    declared = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=(20, 3))
        values[0] *= 5
        declared += any(one is not None and one.is_significant for one in compared(values))
    assert declared <= 16


SHAPES = st.tuples(st.integers(2, 7), st.integers(2, 5), st.integers(0, 99), st.booleans())


@settings(max_examples=40, deadline=None)
@given(SHAPES)
def test_the_interval_excludes_zero_exactly_if_the_difference_is_significant(
    shape: tuple[int, int, int, bool],
) -> None:
    count, size, seed, is_paired = shape
    for one in compared(table(count, size, seed, spread=2.0), is_paired):
        if one is not None:
            assert one.is_significant == (one.high < 0 or one.low > 0)
            assert one.p <= one.corrected <= 1
            assert one.low <= one.value <= one.high


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.randoms(use_true_random=False))
def test_the_order_of_groups_and_replicates_changes_nothing(
    shape: tuple[int, int, int, bool], random: np.random.Generator
) -> None:
    count, size, seed, is_paired = shape
    values = table(count, size, seed)
    rows, columns = list(range(count)), list(range(size))
    random.shuffle(rows)
    random.shuffle(columns)
    found, moved = compared(values, is_paired), compared(values[rows][:, columns], is_paired)
    for place, row in enumerate(rows):
        first, second = found[row], moved[place]
        if first is None or second is None:
            assert first is second
        else:
            assert second.corrected == pytest.approx(first.corrected, rel=1e-6)
            assert (second.low, second.high) == pytest.approx((first.low, first.high), rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(SHAPES, st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_shift_and_scale_change_only_the_unit(
    shape: tuple[int, int, int, bool], scale: float, shift: float
) -> None:
    count, size, seed, is_paired = shape
    values = table(count, size, seed)
    found = compared(values, is_paired)
    for first, second in zip(found, compared((values + shift) * scale, is_paired), strict=True):
        if first is None or second is None:
            assert first is second
        else:
            assert second.corrected == pytest.approx(first.corrected, rel=1e-5)
            assert second.half_width == pytest.approx(first.half_width * scale, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(SHAPES)
def test_changing_the_sign_mirrors_the_differences(shape: tuple[int, int, int, bool]) -> None:
    count, size, seed, is_paired = shape
    values = table(count, size, seed)
    best = int(np.argmax(values.mean(axis=1)))
    found = differences_to(groups_of(values, is_paired), best)
    for first, second in zip(
        found, differences_to(groups_of(-values, is_paired), best), strict=True
    ):
        if first is None or second is None:
            assert first is second
        else:
            assert second.value == pytest.approx(-first.value)
            assert second.corrected == pytest.approx(first.corrected)


def test_additional_pairs_make_the_correction_stricter() -> None:
    values = table(3, 4, spread=3)
    for alone, among in zip(compared(values), compared(values, others=10), strict=True):
        if alone is not None and among is not None:
            assert among.corrected >= alone.corrected
            assert among.half_width > alone.half_width


class TestExtremes:
    def test_a_single_replicate_is_not_tested(self) -> None:
        groups = [{0: 1.0}, {0: 0.5, 1: 0.6}, {0: 0.1, 1: 0.3}]
        assert differences_to(groups, 0) == [None, None, None]
        second = differences_to(groups, 1)
        assert second[:2] == [None, None]
        assert second[2] is not None

    def test_a_single_group_is_not_tested(self) -> None:
        assert differences_to([{0: 1.0, 1: 2.0}], 0) == [None]

    def test_without_any_spread_nothing_is_tested(self) -> None:
        assert differences_to([{0: 1.0, 1: 1.0}, {0: 2.0, 1: 2.0}], 1) == [None, None]

    def test_rounding_errors_are_not_noise(self) -> None:
        groups = [{0: 1.0, 1: 1.0 + 1e-15}, {0: 2.0, 1: 2.0 + 1e-15}]
        assert differences_to(groups, 1) == [None, None]

    def test_equal_differences_of_all_pairs_are_not_significant(self) -> None:
        """The accuracies on 270 examples differ by the same number of examples for each seed."""
        values = np.array([[260, 262, 261], [258, 260, 259]]) / 270
        (found,) = filter(None, compared(values))
        assert found.test == "Welch"
        assert not found.is_significant

    def test_constant_groups_are_tested_with_the_pooled_noise(self) -> None:
        values = np.array([[1.0, 1.0, 1.0], [0.9, 0.9, 0.9], [0.5, 0.9, 1.0]])
        found = compared(values)
        assert found[1] is not None
        assert not found[1].is_significant

    def test_a_group_without_one_replicate_is_not_paired(self) -> None:
        values = table(4, 4, spread=2)
        groups = groups_of(values)
        del groups[3][0]
        best = max(range(4), key=lambda i: float(np.mean(list(groups[i].values()))))
        found = differences_to(groups, best)
        tests = [None if one is None else one.test for one in found]
        assert sorted(test for test in tests if test) == ["Welch", "paired", "paired"] or best == 3

    def test_more_than_a_thousand_groups_are_tested(self) -> None:
        values = table(1100, 2)
        found = [one for one in compared(values) if one is not None]
        assert len(found) == 1099
        assert all(one.p <= one.corrected for one in found)

    def test_equivalence_requires_the_whole_interval_within_the_margin(self) -> None:
        found = Difference(
            value=0.0, low=-0.1, high=0.2, test="paired", p=1.0, corrected=1.0, count=3
        )
        assert [found.is_within(margin) for margin in (0.1, 0.2, 0.3)] == [False, True, True]
