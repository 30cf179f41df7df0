import functools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from numpy.typing import NDArray
from scipy import special

from expt.config.instantiate import bind_part
from expt.config.location import config_directory, options

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]

# On both sides of every kink: -3, 0, 3 and 6.
POINTS = np.array([-6.0, -2.5, -1.0, -0.3, 0.4, 1.0, 2.0, 5.0, 7.0])
FAR = np.array([-1e30, -1e4, -100.0, -20.0, 20.0, 100.0, 1e4, 1e30])
KINKS = (-3.0, 0.0, 3.0, 6.0)

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def sigmoid(x: Array) -> Array:
    return np.asarray(special.expit(x))


def normal_cdf(x: Array) -> Array:
    return np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in x])


def normal_density(x: Array) -> Array:
    return np.asarray(np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi))


def softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


def hard_sigmoid(x: Array) -> Array:
    """A. Howard et al., "Searching for MobileNetV3", arXiv:1905.02244, section 5.2."""
    return np.clip(x + 3, 0, 6) / 6


def silu_derivative(x: Array) -> Array:
    return sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def mish_derivative(x: Array) -> Array:
    above = np.tanh(softplus(x))
    return np.asarray(above + x * sigmoid(x) * (1 - above**2))


VALUES: dict[str, Callable[..., Array]] = {
    "celu": lambda x, alpha: np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * normal_cdf(x),
    "hard_sigmoid": hard_sigmoid,
    "hard_swish": lambda x: x * hard_sigmoid(x),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
    "linear": lambda x: x,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "prelu": lambda x, alpha_initializer: np.where(x > 0, x, alpha_initializer.value * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x, max_value: np.clip(x, 0, max_value),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0))),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "swish": lambda x: x * sigmoid(x),
    "tanh": lambda x: 2 * sigmoid(2 * x) - 1,
}
DERIVATIVES: dict[str, Callable[..., Array]] = {
    "celu": lambda x, alpha: np.exp(np.minimum(x, 0) / alpha),
    "elu": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    "gelu": lambda x: normal_cdf(x) + x * normal_density(x),
    "hard_sigmoid": lambda x: np.where(np.abs(x) < 3, 1 / 6, 0),
    "hard_swish": lambda x: np.where(np.abs(x) < 3, (2 * x + 3) / 6, x > 0),
    "leaky_relu": lambda x, negative_slope: np.where(x > 0, 1, negative_slope),
    "linear": np.ones_like,
    "mish": mish_derivative,
    "prelu": lambda x, alpha_initializer: np.where(x > 0, 1, alpha_initializer.value),
    "relu": lambda x: np.where(x > 0, 1.0, 0.0),
    "relu6": lambda x, max_value: np.where((x > 0) & (x < max_value), 1, 0),
    "selu": lambda x: SELU_SCALE * np.where(x > 0, 1, SELU_ALPHA * np.exp(np.minimum(x, 0))),
    "sigmoid": lambda x: sigmoid(x) - sigmoid(x) ** 2,
    "silu": silu_derivative,
    "softplus": sigmoid,
    "softsign": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "swish": silu_derivative,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
}
# He's rule suits activations that pass about half of their inputs, LeCun's makes selu normalize
# itself, and Glorot's suits activations that are linear near zero. A number is the scale.
INITIALIZERS: dict[str, str | float] = {
    **dict.fromkeys(VALUES, "he_normal"),
    "gelu": 2.16,
    "hard_sigmoid": "glorot_uniform",
    "hard_swish": 2.45,
    "linear": "glorot_uniform",
    "mish": 2.11,
    "selu": "lecun_normal",
    "sigmoid": "glorot_uniform",
    "silu": 2.43,
    "softsign": "glorot_uniform",
    "swish": 2.43,
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


def test_leaky_relu_has_the_slope_of_the_config(conf_part: ConfPart) -> None:
    act = conf_part("act/leaky_relu")
    slope = act.keywords["negative_slope"]
    assert 0 < slope < 1
    assert float(act()(tf.constant(-10.0))) == pytest.approx(-10 * slope)
    assert float(act(negative_slope=0.5)(tf.constant(-10.0))) == pytest.approx(-5)


def value_and_derivative(layer: Any, points: Array) -> tuple[Array, Array]:
    inputs = tf.constant(points, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
    return outputs.numpy(), tape.gradient(outputs, inputs).numpy()


@pytest.mark.parametrize("option", options("act"))
def test_values_and_derivatives_far_from_zero(conf_part: ConfPart, option: str) -> None:
    act = conf_part(f"act/{option}")
    value, derivative = value_and_derivative(act(), FAR)
    expected = VALUES[option](FAR, **arguments(act))
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    expected = DERIVATIVES[option](FAR, **arguments(act))
    np.testing.assert_allclose(derivative, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("option", options("act"))
def test_derivatives_at_kinks_are_between_those_on_both_sides(
    conf_part: ConfPart, option: str
) -> None:
    act = conf_part(f"act/{option}")
    points = np.array(KINKS)
    _, derivative = value_and_derivative(act(), points)
    sides = [DERIVATIVES[option](points + shift, **arguments(act)) for shift in (-1e-5, 1e-5)]
    least, most = np.minimum(*sides) - 1e-4, np.maximum(*sides) + 1e-4
    if option == "prelu":  # Keras' own has 0 at 0
        derivative = np.where(points == 0, 1, derivative)
    assert ((least <= derivative) & (derivative <= most)).all(), derivative


def mean_square(option: str, scale: float, act: Any) -> float:
    """E[f(√c z)²] for z ~ N(0, 1), by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(150)
    values = VALUES[option](np.sqrt(scale) * points, **arguments(act))
    return float(weights @ values**2 / weights.sum())


@pytest.mark.parametrize("option", [o for o, of in INITIALIZERS.items() if of == "he_normal"])
def test_he_normal_roughly_preserves_the_mean_square(conf_part: ConfPart, option: str) -> None:
    """It does so approximately, so that the mean square changes little over some layers."""
    if option != "softplus":  # its mean is not 0, so the mean square is no measure of its spread
        assert mean_square(option, 2.0, conf_part(f"act/{option}")) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("option", [o for o, of in INITIALIZERS.items() if isinstance(of, float)])
def test_declared_scale_preserves_the_mean_square(conf_part: ConfPart, option: str) -> None:
    act, scale = conf_part(f"act/{option}"), INITIALIZERS[option]
    assert isinstance(scale, float)
    assert mean_square(option, scale, act) == pytest.approx(1, abs=0.005)


# Bounded activations, which start with Glorot's rule, shrink their inputs by nature.
UNBOUNDED = [option for option, of in INITIALIZERS.items() if of != "glorot_uniform"]


@pytest.mark.parametrize("option", UNBOUNDED)
def test_signal_is_preserved_over_twenty_layers(conf_part: ConfPart, option: str) -> None:
    act, random = conf_part(f"act/{option}"), np.random.default_rng(0)
    declared = INITIALIZERS[option]
    named = {"he_normal": 2.0, "lecun_normal": 1.0}
    scale = declared if isinstance(declared, float) else named[declared]
    values = random.normal(size=(64, 256))
    for _ in range(20):
        hidden = (values @ random.normal(size=(256, 256)) * np.sqrt(scale / 256)).reshape(-1)
        values = VALUES[option](hidden, **arguments(act)).reshape(values.shape)
    assert 0.2 < np.sqrt((values**2).mean()) < 5


@pytest.mark.parametrize("option", options("act"))
def test_declared_initializer(option: str) -> None:
    text = (config_directory() / "act" / f"{option}.yaml").read_text(encoding="utf-8")
    declared, expected = yaml.safe_load(text)["_initializer_"], INITIALIZERS[option]
    if isinstance(expected, str):
        assert declared == expected
        assert keras.initializers.get(declared)([4, 3]).shape == (4, 3)
    else:
        kernel = bind_part(declared, "act")()([300, 200]).numpy()
        assert kernel.var() == pytest.approx(expected / 300, rel=0.03)
        assert np.abs(kernel).max() < 3 * kernel.std()


@pytest.mark.parametrize("shape", [(2, 3), (2, 4, 5, 3)])
def test_prelu_learns_one_slope_per_value_of_an_example(
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


def test_prelu_layers_learn_separate_slopes(conf_part: ConfPart) -> None:
    act = conf_part("act/prelu")
    first, second = act(), act()
    for layer in (first, second):
        layer.build([None, 2])
    first.trainable_variables[0].assign([0.5, 0.5])
    np.testing.assert_array_equal(second.trainable_variables[0], [0.25, 0.25])
