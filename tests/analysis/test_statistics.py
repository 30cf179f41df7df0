import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from expt.analysis.statistics import critical_t, summarize, t_test


def seeded(values: list[float], start: int = 0) -> dict[int, float]:
    return dict(enumerate(values, start))


@pytest.mark.parametrize("count", [2, 3, 10, 50])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_mean_and_interval_equal_those_of_scipy(count: int, scale: float) -> None:
    values = np.random.default_rng(count).normal(3.0, 0.2, count) * scale
    found = summarize(values.tolist())
    low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(values.std(ddof=1), rel=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.count == count


def test_a_single_value_has_no_interval() -> None:
    found = summarize([0.5])
    assert (found.mean, found.deviation, found.low, found.high) == (0.5, None, None, None)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_equal_seeds_are_paired(count: int) -> None:
    random = np.random.default_rng(count)
    effect_of_seed = random.normal(0, 1, count)
    these, those = effect_of_seed + random.normal(0.1, 0.05, (2, count))
    found = t_test(seeded(these.tolist()), seeded(those.tolist()))
    expected = stats.ttest_rel(these, those)
    assert found is not None
    assert found.name == "paired"
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval(0.95)
    assert found.difference - found.half_width == pytest.approx(low, rel=1e-9)
    assert found.difference + found.half_width == pytest.approx(high, rel=1e-9)


@pytest.mark.parametrize(("first", "second"), [(3, 5), (2, 2)])
def test_different_seeds_are_compared_by_welchs_test(first: int, second: int) -> None:
    random = np.random.default_rng(first)
    these, those = random.normal(0, 1, first), random.normal(1, 3, second)
    found = t_test(seeded(these.tolist()), seeded(those.tolist(), start=1))
    expected = stats.ttest_ind(these, those, equal_var=False)
    assert found is not None
    assert found.name == "Welch"
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval(0.95)
    assert found.difference - found.half_width == pytest.approx(low, rel=1e-9)
    assert found.difference + found.half_width == pytest.approx(high, rel=1e-9)


def test_tiny_variances_do_not_underflow() -> None:
    these, those = [1e-90, 2e-90, 4e-90], [7e-90, 8e-90]
    found = t_test(seeded(these), seeded(those))
    assert found is not None
    expected = stats.ttest_ind(np.multiply(these, 1e90), np.multiply(those, 1e90), equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)


def test_pairing_removes_the_effect_of_the_seed() -> None:
    these, those = seeded([1.0, 2.0, 3.0, 4.0]), [1.11, 2.1, 3.09, 4.1]
    paired, welch = t_test(these, seeded(those)), t_test(these, seeded(those, start=1))
    assert paired is not None
    assert welch is not None
    assert paired.p < 0.05 < welch.p


def test_a_single_replicate_is_not_tested() -> None:
    assert t_test(seeded([1.0]), seeded([2.0, 3.0])) is None
    assert t_test(seeded([2.0, 3.0]), seeded([1.0])) is None


def test_equal_values_have_p_one() -> None:
    found = t_test(seeded([1.0, 2.0]), seeded([1.0, 2.0]))
    assert found is not None
    assert found.p == 1.0


def test_equal_differences_of_all_pairs_are_compared_by_welchs_test() -> None:
    """Two accuracies of 270 examples are often apart by the same count."""
    these, those = [200 / 270, 206 / 270], [202 / 270, 208 / 270]
    found = t_test(seeded(these), seeded(those))
    assert found is not None
    assert found.name == "Welch"
    assert found.p == pytest.approx(stats.ttest_ind(these, those, equal_var=False).pvalue)


def test_constant_values_have_no_standard_error() -> None:
    found = t_test(seeded([1.0, 1.0]), seeded([2.0, 2.0]))
    assert found is not None
    assert (found.difference, found.error) == (-1.0, 0.0)


@settings(max_examples=30)
@given(st.floats(1, 200), st.floats(1e-6, 0.9))
def test_critical_values_equal_those_of_scipy(freedom: float, level: float) -> None:
    assert critical_t(freedom, level) == pytest.approx(stats.t.isf(level / 2, freedom), rel=1e-6)
    assert math.isfinite(critical_t(freedom, level))
