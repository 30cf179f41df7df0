import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.location import options
from expt.parts import losses, metrics, schedules
from expt.parts.models.dense import linear
from expt.train.step import make_train_step

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]
Update = Callable[[Array, float], Array]


def sgd() -> Update:
    """θ ← θ - α g."""
    return lambda gradient, rate: -rate * gradient


def with_momentum(momentum: float) -> Update:
    """v ← μ v - α g; θ ← θ + v."""
    velocity = np.zeros(1)

    def update(gradient: Array, rate: float) -> Array:
        nonlocal velocity
        velocity = momentum * velocity - rate * gradient
        return velocity

    return update


def adam(beta_1: float, beta_2: float, epsilon: float) -> Update:
    """D. Kingma, J. Ba, "Adam", arXiv:1412.6980, with ε where the end of its section 2 has it."""
    first, second, step = np.zeros(1), np.zeros(1), 0

    def update(gradient: Array, rate: float) -> Array:
        nonlocal first, second, step
        step += 1
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        rate *= np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        return -rate * first / (np.sqrt(second) + epsilon)

    return update


REFERENCES: dict[str, Callable[..., Update]] = {
    "sgd": sgd,
    "momentum": with_momentum,
    "adam": adam,
}


def reference(option: str, optimizer: functools.partial[Any]) -> tuple[Update, float]:
    """The rule in NumPy, with the numbers of the option's yaml, and its learning rate."""
    assert option in REFERENCES, f"add the rule of conf/optimizer/{option}.yaml to REFERENCES"
    numbers = {**optimizer.keywords}
    rate = numbers.pop("learning_rate")
    return REFERENCES[option](**numbers), rate


@pytest.mark.parametrize("steps", [1, 2, 50])
@pytest.mark.parametrize("option", options("optimizer"))
def test_steps_on_a_quadratic(conf_part: ConfPart, option: str, steps: int) -> None:
    # f(θ) = Σ c θ² / 2. The last gradient is so small that Adam's ε matters.
    curvature, theta = np.array([1.0, 5.0, 1e-7]), np.array([1.0, -2.0, 3.0])
    make = conf_part(f"optimizer/{option}")
    optimizer = make()
    variable = tf.Variable(theta, dtype=tf.float32)
    optimizer.build([variable])
    update, rate = reference(option, make)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(tf.constant(curvature, tf.float32) * variable**2) / 2
        optimizer.apply([tape.gradient(value, variable)], [variable])
        theta = theta + update(curvature * theta, rate)
    np.testing.assert_allclose(variable, theta, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("schedule", [schedules.constant, schedules.cosine])
@pytest.mark.parametrize("option", options("optimizer"))
def test_train_steps_of_linear_regression(
    conf_part: ConfPart, option: str, schedule: Callable[[float, int], Any]
) -> None:
    random = np.random.default_rng(1)
    inputs = random.normal(size=(16, 2))
    targets = inputs @ [[1.5], [-0.5]] + 0.3 + 0.1 * random.normal(size=(16, 1))
    weights, bias = random.normal(size=(2, 1)), random.normal(size=1)

    total_steps = 20
    model = linear([2], 1, keras.layers.ReLU)
    model.set_weights([weights, bias])
    make = conf_part(f"optimizer/{option}")
    optimizer = make(learning_rate=schedule(0.05, total_steps))
    optimizer.build(model.trainable_variables)
    step = tf.function(make_train_step(model, losses.mse, optimizer, {"mae": metrics.mae}))

    batch = (tf.constant(inputs, tf.float32), tf.constant(targets, tf.float32))
    update, _ = reference(option, make)
    theta = np.concatenate([weights[:, 0], bias])
    design = np.column_stack([inputs, np.ones(16)])
    for number in range(total_steps):
        scalars = step(*batch)
        errors = design @ theta - targets[:, 0]
        gradient = 2 * design.T @ errors / 16
        rate = 0.05
        if schedule is schedules.cosine:
            rate *= (1 + np.cos(np.pi * number / total_steps)) / 2
        # What a step reports is of the weights before its update.
        expected = {
            "loss": (errors**2).mean(),
            "mae": np.abs(errors).mean(),
            "grad_norm": np.sqrt((gradient**2).sum()),
            "learning_rate": rate,
        }
        assert {name: float(value) for name, value in scalars.items()} == pytest.approx(
            expected, rel=1e-3, abs=1e-5
        )
        theta = theta + update(gradient, rate)
        if number in (0, total_steps - 1):
            learnt = np.concatenate([np.ravel(array) for array in model.get_weights()])
            np.testing.assert_allclose(learnt, theta, rtol=1e-4, atol=1e-5)


def test_train_step_adds_the_penalties_of_the_model() -> None:
    inputs = keras.Input([2])
    layer = keras.layers.Dense(1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.1))
    model = keras.Model(inputs, layer(inputs))
    model.set_weights([np.array([[2.0], [1.0]])])
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    scalars = make_train_step(model, losses.mse, optimizer, {})(
        tf.constant([[1.0, 0.0]]), tf.constant([[5.0]])
    )
    assert float(scalars["loss"]) == pytest.approx((2 - 5) ** 2 + 0.1 * (2**2 + 1**2))
    # ∇ = 2 (w·x - y) x + 0.2 w
    np.testing.assert_allclose(
        model.get_weights()[0], [[2 - (-6 + 0.4)], [1 - (0 + 0.2)]], rtol=1e-6
    )
