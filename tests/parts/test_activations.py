import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray

from expt.config.location import config_directory, options

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]

# On both sides of every kink: -3, 0, 3 and 6.
POINTS = np.array([-6.0, -2.5, -1.0, -0.3, 0.4, 1.0, 2.0, 5.0, 7.0])

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def normal_cdf(x: Array) -> Array:
    return np.array([(1 + math.erf(value / math.sqrt(2))) / 2 for value in x])


def normal_density(x: Array) -> Array:
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


def softplus(x: Array) -> Array:
    return np.asarray(np.log1p(np.exp(x)))


def hard_sigmoid(x: Array) -> Array:
    """A. Howard et al., "Searching for MobileNetV3", arXiv:1905.02244, section 5.2."""
    return np.clip(x + 3, 0, 6) / 6


def silu_derivative(x: Array) -> Array:
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def mish_derivative(x: Array) -> Array:
    return np.asarray(np.tanh(softplus(x)) + x * sigmoid(x) / np.cosh(softplus(x)) ** 2)


VALUES: dict[str, Callable[..., Array]] = {
    "celu": lambda x: np.maximum(x, 0) + np.minimum(np.expm1(x), 0),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
    "gelu": lambda x: x * normal_cdf(x),
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": lambda x: x * hard_sigmoid(x),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
    "linear": lambda x: x,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "prelu": lambda x, alpha_initializer: np.where(x > 0, x, alpha_initializer.value * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x, max_value: np.clip(x, 0, max_value),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "swish": lambda x: x * sigmoid(x),
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
}
DERIVATIVES: dict[str, Callable[..., Array]] = {
    "celu": lambda x: np.where(x > 0, 1, np.exp(x)),
    "elu": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(x)),
    "gelu": lambda x: normal_cdf(x) + x * normal_density(x),
    "hard_sigmoid": lambda x: np.where(np.abs(x) < 3, 1 / 6, 0),
    "hard_swish": lambda x: np.where(np.abs(x) < 3, (2 * x + 3) / 6, x > 0),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, 1, negative_slope),
    "linear": np.ones_like,
    "mish": mish_derivative,
    "prelu": lambda x, alpha_initializer: np.where(x > 0, 1, alpha_initializer.value),
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
    "relu6": lambda x, max_value: np.where((x > 0) & (x < max_value), 1, 0),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(x)),
    "sigmoid": lambda x: sigmoid(x) - sigmoid(x) ** 2,
    "silu": silu_derivative,
    "softplus": sigmoid,
    "softsign": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "swish": silu_derivative,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
}
# He's rule is for what lets about half of its inputs through, LeCun's makes selu normalise itself,
# and Glorot's is for what is linear near zero.
INITIALIZERS = dict.fromkeys(VALUES, "he_normal") | {
    "hard_sigmoid": "glorot_uniform",
    "linear": "glorot_uniform",
    "selu": "lecun_normal",
    "sigmoid": "glorot_uniform",
    "softsign": "glorot_uniform",
    "tanh": "glorot_uniform",
}


def arguments(act: functools.partial[Any]) -> dict[str, Any]:
    """The arguments in an option's yaml, such as leaky_relu's negative_slope."""
    return {name: value for name, value in act.keywords.items() if name != "activation"}


@pytest.mark.parametrize("option", options("act"))
def test_values(conf_part: ConfPart, option: str) -> None:
    assert option in VALUES, f"add the formula of conf/act/{option}.yaml to VALUES"
    act = conf_part(f"act/{option}")
    outputs = act()(tf.constant(POINTS, tf.float32))
    expected = VALUES[option](POINTS, **arguments(act))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", options("act"))
def test_derivatives(conf_part: ConfPart, option: str) -> None:
    assert option in DERIVATIVES, f"add that of conf/act/{option}.yaml to DERIVATIVES"
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


@pytest.mark.parametrize("option", options("act"))
def test_a_saved_model_needs_nothing_but_keras(
    conf_part: ConfPart, option: str, tmp_path: Path
) -> None:
    act = conf_part(f"act/{option}")
    assert act().__module__.startswith("keras.")
    inputs = keras.Input([4])
    hidden = act()(keras.layers.Dense(8)(inputs))
    model = keras.Model(inputs, act()(keras.layers.Dense(3)(hidden)))
    model.set_weights([weights + 0.1 for weights in model.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    values = np.random.default_rng(0).normal(scale=3, size=(16, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded(values), model(values))


@pytest.mark.parametrize("option", options("act"))
def test_declared_initializer(option: str) -> None:
    text = (config_directory() / "act" / f"{option}.yaml").read_text(encoding="utf-8")
    declared = yaml.safe_load(text)["_initializer_"]
    assert declared == INITIALIZERS[option]
    assert keras.initializers.get(declared)([4, 3]).shape == (4, 3)


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 5, 3)])
def test_prelu_learns_a_slope_for_each_value_of_an_example(
    conf_part: ConfPart, shape: tuple[int, ...]
) -> None:
    layer = conf_part("act/prelu")()
    values = np.random.default_rng(0).normal(size=shape)
    with tf.GradientTape() as tape:
        outputs = layer(tf.constant(values, tf.float32))
    (slope,) = layer.trainable_variables
    assert slope.shape == shape[1:]
    np.testing.assert_array_equal(slope, np.full(shape[1:], 0.25))
    # ∂/∂a of Σ f(x) is the sum of the negative inputs.
    gradient = tape.gradient(outputs, slope.value)
    np.testing.assert_allclose(gradient, np.minimum(values, 0).sum(axis=0), rtol=1e-5)


def test_layers_of_prelu_learn_slopes_of_their_own(conf_part: ConfPart) -> None:
    act = conf_part("act/prelu")
    first, second = act(), act()
    for layer in (first, second):
        layer.build([None, 2])
    first.trainable_variables[0].assign([0.5, 0.5])
    np.testing.assert_array_equal(second.trainable_variables[0], [0.25, 0.25])
