import numpy as np
import pytest
from scipy import stats

from expt.comparison.statistics import Difference, difference, summarize


def seeded(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


@pytest.mark.parametrize("count", [2, 3, 10, 50])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_mean_and_interval_are_scipys(count: int, scale: float) -> None:
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
def test_same_seeds_are_paired(count: int) -> None:
    random = np.random.default_rng(count)
    effect_of_seed = random.normal(0, 1, count)
    these, those = effect_of_seed + random.normal(0.1, 0.05, (2, count))
    found = difference(seeded(these.tolist()), seeded(those.tolist()))
    assert found is not None
    assert found.test == "paired"
    assert found.p == pytest.approx(stats.ttest_rel(these, those).pvalue, rel=1e-9)


@pytest.mark.parametrize(("first", "second"), [(3, 5), (2, 2)])
def test_other_seeds_are_welchs(first: int, second: int) -> None:
    random = np.random.default_rng(first)
    these, those = random.normal(0, 1, first), random.normal(1, 3, second)
    found = difference(seeded(these.tolist()), dict(enumerate(those.tolist(), start=1)))
    assert found is not None
    assert found.test == "Welch"
    expected = stats.ttest_ind(these, those, equal_var=False).pvalue
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_pairing_finds_what_the_seeds_hide() -> None:
    these, those = seeded([1.0, 2.0, 3.0, 4.0]), seeded([1.11, 2.1, 3.09, 4.1])
    paired, welch = (
        difference(these, those),
        difference(these, {k + 1: v for k, v in those.items()}),
    )
    assert paired is not None
    assert welch is not None
    assert not paired.is_noise
    assert welch.is_noise


def test_of_one_repeat_nothing_can_be_told() -> None:
    assert difference(seeded([1.0]), seeded([2.0, 3.0])) is None
    assert difference(seeded([2.0, 3.0]), seeded([1.0])) is None


@pytest.mark.parametrize(("p", "expected"), [(0.049, False), (0.051, True), (0.3, True)])
def test_noise_is_what_five_percent_would_show(p: float, expected: bool) -> None:
    assert Difference("paired", p).is_noise is expected


def test_equal_values_are_no_difference() -> None:
    found = difference(seeded([1.0, 2.0]), seeded([1.0, 2.0]))
    assert found is not None
    assert found.p == 1.0


def test_differences_without_spread_tell_nothing_about_noise() -> None:
    """Two accuracies of 270 examples are often apart by the same count."""
    these, those = [200 / 270, 206 / 270], [202 / 270, 208 / 270]
    found = difference(seeded(these), seeded(those))
    assert found is not None
    assert found.test == "Welch"
    assert found.p == pytest.approx(stats.ttest_ind(these, those, equal_var=False).pvalue)


def test_constants_that_differ_do() -> None:
    found = difference(seeded([1.0, 1.0]), seeded([2.0, 2.0]))
    assert found is not None
    assert found.p == 0.0
