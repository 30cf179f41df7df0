import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.location import options

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]

POINTS = np.array([-6.0, -2.5, -1.0, -0.3, 0.4, 1.0, 2.0, 5.0])  # not 0, where relu has a kink

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def normal_cdf(x: Array) -> Array:
    return np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in x])


VALUES: dict[str, Callable[..., Array]] = {
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    "gelu": lambda x: x * normal_cdf(x),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
}
DERIVATIVES: dict[str, Callable[..., Array]] = {
    "elu": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(x)),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, 1, negative_slope),
    "linear": np.ones_like,
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
    "sigmoid": lambda x: sigmoid(x) - sigmoid(x) ** 2,
    "softplus": sigmoid,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
}


def arguments(act: functools.partial[Any]) -> dict[str, float]:
    """The numbers in an option's yaml, such as leaky_relu's negative_slope."""
    return {name: value for name, value in act.keywords.items() if name != "activation"}


@pytest.mark.parametrize("option", options("act"))
def test_values(conf_part: ConfPart, option: str) -> None:
    assert option in VALUES, f"add the formula of conf/act/{option}.yaml to VALUES"
    act = conf_part(f"act/{option}")
    outputs = act()(tf.constant(POINTS, tf.float32))
    expected = VALUES[option](POINTS, **arguments(act))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", DERIVATIVES)
def test_derivatives(conf_part: ConfPart, option: str) -> None:
    act = conf_part(f"act/{option}")
    points = tf.constant(POINTS, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(points)
        outputs = act()(points)
    expected = DERIVATIVES[option](POINTS, **arguments(act))
    np.testing.assert_allclose(tape.gradient(outputs, points), expected, rtol=1e-4, atol=1e-6)


def test_leaky_relu_takes_its_slope_from_the_config(conf_part: ConfPart) -> None:
    act = conf_part("act/leaky_relu")
    slope = act.keywords["negative_slope"]
    assert 0 < slope < 1
    assert float(act()(tf.constant(-10.0))) == pytest.approx(-10 * slope)
    assert float(act(negative_slope=0.5)(tf.constant(-10.0))) == pytest.approx(-5)


@pytest.mark.parametrize("option", options("act"))
def test_values_and_derivatives_are_finite_far_from_zero(conf_part: ConfPart, option: str) -> None:
    points = tf.constant([-1e4, 0.0, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(points)
        outputs = conf_part(f"act/{option}")()(points)
    assert np.isfinite(outputs).all()
    assert np.isfinite(tape.gradient(outputs, points)).all()
