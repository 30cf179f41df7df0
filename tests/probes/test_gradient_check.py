"""The comparison of gradients with finite differences, on functions with known gradients."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.probes.gradient_check import FLOAT32, FLOAT64, Precision, WeightCheck, check_gradients

Array = NDArray[np.floating]
GENERATOR = np.random.default_rng(0)
KERNEL, BIAS = GENERATOR.normal(size=(6, 5)), GENERATOR.normal(size=5)
INPUTS = GENERATOR.normal(size=(8, 6))


def checks_of(
    function: Callable[..., float],
    weights: list[Array],
    gradients: list[Array],
    precision: Precision = FLOAT64,
) -> list[WeightCheck]:
    def loss(index: int, value: Array) -> float:
        return float(function(*weights[:index], value, *weights[index + 1 :]))

    return list(check_gradients(loss, weights, gradients, precision, seed=0))


def smooth(kernel: Array, bias: Array) -> float:
    return float(np.tanh(INPUTS.astype(kernel.dtype) @ kernel + bias).mean())


def gradients_of_smooth(kernel: Array, bias: Array) -> list[Array]:
    slopes = (1 - np.tanh(INPUTS @ kernel + bias) ** 2) / (8 * 5)
    return [INPUTS.T @ slopes, slopes.sum(axis=0)]


def test_correct_gradients_pass() -> None:
    found = checks_of(smooth, [KERNEL, BIAS], gradients_of_smooth(KERNEL, BIAS))
    assert all(check.is_correct and check.difference < 1e-6 for check in found)
    assert [check.num_entries for check in found] == [20, 5]  # of the 30 of the kernel, a sample
    largest = [np.abs(gradient).max() for gradient in gradients_of_smooth(KERNEL, BIAS)]
    assert [check.largest for check in found] == pytest.approx(largest)


@pytest.mark.parametrize("error", [1e-4, 0.1, -2.0, np.nan])
def test_relative_error_of_one_weight_is_found(error: float) -> None:
    of_kernel, of_bias = gradients_of_smooth(KERNEL, BIAS)
    found = checks_of(smooth, [KERNEL, BIAS], [of_kernel, (1 + error) * of_bias])
    assert [check.is_correct for check in found] == [True, False]
    if error == 1e-4:  # small enough for the difference to be proportional to it
        assert found[1].difference == pytest.approx(error, rel=0.01)


def test_error_in_few_of_many_entries_is_found() -> None:
    """The random direction contains all entries, not a sample of them."""
    weights = GENERATOR.normal(size=3000)
    gradient = 2 * weights
    gradient[::500] += 1
    (found,) = checks_of(lambda w: float((w**2).sum()), [weights], [gradient])
    assert not found.is_correct


def test_float32_has_its_own_tolerance() -> None:
    weights = [KERNEL.astype(np.float32), BIAS.astype(np.float32)]
    gradients = [each.astype(np.float32) for each in gradients_of_smooth(KERNEL, BIAS)]
    assert all(check.is_correct for check in checks_of(smooth, weights, gradients, FLOAT32))
    wrong = [1.1 * gradient for gradient in gradients]
    assert not any(check.is_correct for check in checks_of(smooth, weights, wrong, FLOAT32))


@pytest.mark.parametrize(("slope", "is_correct"), [(0, True), (0.3, True), (1, True), (1.1, False)])
def test_any_subgradient_at_a_kink_is_correct(slope: float, is_correct: bool) -> None:
    relu = lambda w: float(np.maximum(w, 0).sum())  # noqa: E731
    (found,) = checks_of(relu, [np.zeros(1)], [np.full(1, slope)])
    assert found.is_correct is is_correct


@pytest.mark.parametrize("distance", [1e-5, -1e-5])
def test_kink_within_a_long_step_is_not_an_error(distance: float) -> None:
    """The central difference of step 1e-4 is wrong by 5 %, that of step 1e-6 is exact."""
    relu = lambda w: float(w[0] + np.maximum(w[0] - distance, 0))  # noqa: E731
    weights = np.zeros(1)
    gradient = np.array([1.0 if distance > 0 else 2.0])
    (found,) = checks_of(relu, [weights], [gradient])
    assert found.is_correct
    assert found.difference < 1e-7


def test_rounding_of_a_large_loss_is_not_an_error() -> None:
    # float64 rounds 1e6 to about 1e-10, which a step of 1e-6 magnifies to 1e-4.
    (found,) = checks_of(lambda w: 1e6 + float((w**2).sum()), [BIAS], [2 * BIAS])
    assert found.is_correct


def test_loss_that_is_not_finite_has_no_correct_gradient() -> None:
    (found,) = checks_of(lambda _w: float("nan"), [BIAS], [BIAS])
    assert not found.is_correct


def test_constant_loss_has_gradient_zero() -> None:
    (found,) = checks_of(lambda _w: 0.0, [BIAS], [np.zeros(5)])
    assert found == WeightCheck(5, 0.0, 0.0, is_correct=True)
