import math

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.train.learning_rate_range import RangeTest


def made(rates: NDArray[np.float64], losses: NDArray[np.float64]) -> RangeTest:
    """The loss at each rate is that of the step after its update."""
    test = RangeTest()
    test.add(float(rates[0]), 1.0)
    for rate, loss in zip([*rates[1:].tolist(), math.inf], losses.tolist(), strict=True):
        test.add(rate, loss)
    return test


RATES = np.geomspace(1e-7, 10, 150)


def test_smoothed_losses_are_means_with_exponential_weights() -> None:
    losses = np.random.default_rng(0).normal(size=150)
    test = made(RATES, losses)
    np.testing.assert_array_equal(test.rates, RATES)
    np.testing.assert_array_equal(test.losses, losses)
    for last in (0, 1, 40, 149):
        weights = 0.95 ** np.arange(last, -1, -1)
        expected = np.average(losses[: last + 1], weights=weights)
        assert test.smoothed[last] == pytest.approx(expected)


def test_suggestion_is_tenth_of_rate_with_smallest_loss() -> None:
    losses = 2 - np.exp(-((np.log10(RATES) + 2) ** 2)) + np.maximum(0, np.log10(RATES) + 1)
    test = made(RATES, losses)
    lowest = RATES[np.argmin(test.smoothed)]
    assert 0.01 < lowest < 0.1  # the moving average lags behind the loss
    assert test.suggestion() == pytest.approx(lowest / 10, rel=0.05)
    assert f"{test.suggestion():.1e}" == f"{lowest / 10:.1e}"


@pytest.mark.parametrize("losses", [np.linspace(1, 2, 150), np.ones(150)])
def test_loss_that_does_not_fall_has_no_suggestion(losses: NDArray[np.float64]) -> None:
    assert made(RATES, losses).suggestion() is None


def test_few_steps_have_no_suggestion() -> None:
    assert made(RATES[:5], np.linspace(2, 1, 5)).suggestion() is None
    assert RangeTest().suggestion() is None


@pytest.mark.parametrize(
    ("losses", "has_diverged"),
    [
        ([2.0, 0.1, 0.2], False),  # more than four times its minimum, but below the start
        ([0.1] * 9 + [0.5], False),  # one loss alone
        ([0.1] * 9 + [20.0], True),
        ([-1.0] * 9 + [-0.5], False),  # such as the loss of Poisson
        ([-1.0] * 9 + [100.0], True),
        ([0.0] * 9 + [0.1], True),
    ],
)
def test_divergence(losses: list[float], has_diverged: bool) -> None:
    assert made(RATES[: len(losses)], np.array(losses)).has_diverged is has_diverged


def test_test_without_points_has_not_diverged() -> None:
    assert not RangeTest().has_diverged


def test_rate_that_does_not_rise_adds_no_point() -> None:
    """Mixed precision skips steps, and the rate of Adafactor is bounded."""
    test = RangeTest()
    for rate, loss in [(0.1, 1.0), (0.1, 2.0), (0.2, 3.0), (0.15, 4.0), (0.3, 5.0), (0.4, 6.0)]:
        test.add(rate, loss)
    assert test.rates == [0.1, 0.2, 0.3]
    assert test.losses == [2.0, 4.0, 6.0]


def test_loss_that_is_not_finite_adds_no_point() -> None:
    assert made(RATES[:3], np.array([1.0, math.nan, 2.0])).losses == [1.0, 2.0]
