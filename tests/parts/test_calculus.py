"""Gradients that GradientTape computes through expt's parts, against closed forms in NumPy."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts import losses
from expt.parts.models.dense import mlp
from expt.train.input.batch import Batch
from expt.train.objective import Function
from expt.train.step import make_train_step

Array = NDArray[np.float64]
ConfPart = Callable[[str], functools.partial[Any]]

LABELS = np.array([0, 2, 1, 2, 0])
ONE_HOT = np.eye(3)[LABELS]
INPUTS = np.random.default_rng(3).normal(size=(5, 4))
VALUES = np.random.default_rng(4).normal(size=(5, 3))


def softmax(logits: Array) -> Array:
    exponentials = np.exp(logits)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def mse_of_values(outputs: Array) -> Array:
    """∂/∂o of the mean over k of (o_k - t_k)²."""
    return 2 * (outputs - VALUES) / 3


def mse_through_softmax(logits: Array) -> Array:
    """∂/∂z of the mean over k of (p_k - y_k)²: by the chain rule, with ∂p_i/∂z_j in full."""
    gradients = []
    for p, y in zip(softmax(logits), ONE_HOT, strict=True):
        jacobian = np.diag(p) - np.outer(p, p)
        gradients.append(2 * (p - y) / 3 @ jacobian)
    return np.array(gradients)


def crossentropy(logits: Array) -> Array:
    """∂/∂z of -log p_y = p - y."""
    return np.asarray(softmax(logits) - ONE_HOT)


OUTPUT_GRADIENTS = pytest.mark.parametrize(
    ("loss", "targets", "output_gradient"),
    [
        pytest.param(losses.mse, tf.constant(VALUES, tf.float32), mse_of_values, id="mse-values"),
        pytest.param(losses.mse, tf.constant(LABELS, tf.int32), mse_through_softmax, id="mse"),
        pytest.param(
            losses.crossentropy, tf.constant(LABELS, tf.int32), crossentropy, id="crossentropy"
        ),
    ],
)


@OUTPUT_GRADIENTS
def test_gradient_of_the_loss_with_respect_to_the_outputs(
    loss: Function, targets: tf.Tensor, output_gradient: Callable[[Array], Array]
) -> None:
    values = np.random.default_rng(0).normal(scale=2, size=(5, 3))
    outputs = tf.constant(values, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        value = loss(targets, outputs)
    gradient = tape.gradient(value, outputs)
    np.testing.assert_allclose(gradient, output_gradient(values), rtol=1e-4, atol=1e-6)


def test_jacobian_of_softmax() -> None:
    # mse = Σ (p_k - y_k)² / 3 has the gradient 2/3 (p - y)·J; losses of two classes y differ by
    # -2/3 (e_a - e_b)·J, so that the differences give the Jacobian's rows, up to their sum of 0.
    logits = np.array([1.0, -0.5, 0.3])
    rows = []
    for label in range(3):
        outputs = tf.constant(logits[None], tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = losses.mse(tf.constant([label]), outputs)
        rows.append(tape.gradient(value, outputs)[0].numpy() * -3 / 2)
    p = softmax(logits)
    jacobian = np.array(
        [[p[i] * (1 - p[j]) if i == j else -p[i] * p[j] for j in range(3)] for i in range(3)]
    )
    np.testing.assert_allclose(np.array(rows) - np.mean(rows, axis=0), jacobian, atol=1e-6)

    watched = tf.constant(logits, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        probabilities = tf.nn.softmax(watched)
    np.testing.assert_allclose(tape.jacobian(probabilities, watched), jacobian, atol=1e-6)


@OUTPUT_GRADIENTS
def test_chain_rule_of_a_two_layer_mlp(
    conf_part: ConfPart,
    loss: Function,
    targets: tf.Tensor,
    output_gradient: Callable[[Array], Array],
) -> None:
    model = mlp([4], 3, conf_part("act/sigmoid"), units=[6])
    random = np.random.default_rng(5)
    w1, b1, w2, b2 = (random.normal(size=shape) for shape in [(4, 6), (6,), (6, 3), (3,)])
    model.set_weights([w1, b1, w2, b2])

    hidden = 1 / (1 + np.exp(-(INPUTS @ w1 + b1)))
    delta_2 = output_gradient(hidden @ w2 + b2) / len(INPUTS)  # the step takes the batch's mean
    delta_1 = (delta_2 @ w2.T) * hidden * (1 - hidden)
    expected = [INPUTS.T @ delta_1, delta_1.sum(axis=0), hidden.T @ delta_2, delta_2.sum(axis=0)]

    inputs = tf.constant(INPUTS, tf.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss(targets, model(inputs)))
    for gradient, correct in zip(
        tape.gradient(value, model.trainable_variables), expected, strict=True
    ):
        np.testing.assert_allclose(gradient, correct, rtol=1e-4, atol=1e-6)

    # A training step with a learning rate of 1 subtracts exactly these gradients.
    optimizer = conf_part("optimizer/sgd")(learning_rate=1.0)
    optimizer.build(model.trainable_variables)
    scalars = make_train_step(model, loss, optimizer, {})(Batch(inputs, targets))
    for before, after, correct in zip([w1, b1, w2, b2], model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(before - after, correct, rtol=1e-3, atol=1e-6)
    norm = np.sqrt(sum((gradient**2).sum() for gradient in expected))
    assert float(scalars["grad_norm"]) == pytest.approx(norm, rel=1e-4)


def test_persistent_tape_can_be_read_twice(conf_part: ConfPart) -> None:
    # z = tanh(x)², dz/dx = 2 tanh(x) (1 - tanh(x)²), and the intermediate dh/dx.
    x = tf.constant([0.3, -1.2])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        hidden = conf_part("act/tanh")()(x)
        z = hidden**2
    tanh = np.tanh([0.3, -1.2])
    np.testing.assert_allclose(tape.gradient(z, x), 2 * tanh * (1 - tanh**2), rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(hidden, x), 1 - tanh**2, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(z, hidden), 2 * tanh, rtol=1e-5)


def test_second_derivatives() -> None:
    # y = w x² + w b
    w, x, b = tf.Variable(2.0), tf.Variable(-3.0), tf.Variable(0.5)
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            y = w * x**2 + w * b
        dy_dw, dy_dx, dy_db = inner.gradient(y, [w, x, b])
    assert [float(d) for d in (dy_dw, dy_dx, dy_db)] == [(-3) ** 2 + 0.5, 2 * 2 * -3, 2]
    assert [float(outer.gradient(dy_dw, v)) for v in (x, b)] == [2 * -3, 1]
    assert [float(outer.gradient(dy_dx, v)) for v in (w, x)] == [2 * -3, 2 * 2]
    assert float(outer.gradient(dy_db, w)) == 1
    assert outer.gradient(dy_dw, w) is None  # y is linear in w


def test_second_derivative_of_an_activation_and_of_a_loss(conf_part: ConfPart) -> None:
    x = tf.constant([-1.5, 0.2, 2.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = conf_part("act/sigmoid")()(x)
        first = inner.gradient(value, x)
    s = 1 / (1 + np.exp(-np.array([-1.5, 0.2, 2.0])))
    np.testing.assert_allclose(outer.gradient(first, x), s * (1 - s) * (1 - 2 * s), rtol=1e-4)

    # The Hessian of the cross-entropy is the Jacobian of its gradient p - y, that of softmax.
    logits = tf.constant([[1.0, -0.5, 0.3]])
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            value = losses.crossentropy(tf.constant([1]), logits)
        first = inner.gradient(value, logits)
    p = softmax(np.array([1.0, -0.5, 0.3]))
    hessian = outer.jacobian(first, logits)[0, :, 0]
    np.testing.assert_allclose(hessian, np.diag(p) - np.outer(p, p), atol=1e-6)


def himmelblau(x: Any, y: Any) -> Any:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


@pytest.mark.parametrize(
    ("option", "learning_rate"), [("sgd", 0.01), ("momentum", 0.002), ("adam", 0.1)]
)
@pytest.mark.parametrize(
    ("start", "minimum"),
    [
        ((2.5, 2.5), (3.0, 2.0)),
        ((-2.5, 2.5), (-2.805118, 3.131312)),
        ((-3.5, -3.0), (-3.779310, -3.283186)),
        ((3.0, -2.0), (3.584428, -1.848126)),
    ],
)
def test_descent_reaches_the_minimum(
    conf_part: ConfPart,
    option: str,
    learning_rate: float,
    start: tuple[float, float],
    minimum: tuple[float, float],
) -> None:
    assert himmelblau(*minimum) == pytest.approx(0, abs=1e-8)
    x, y = (keras.Variable(value) for value in start)
    optimizer = conf_part(f"optimizer/{option}")(learning_rate=learning_rate)
    optimizer.build([x, y])

    @tf.function  # type: ignore[untyped-decorator]
    def descend() -> None:
        for _ in tf.range(300):
            with tf.GradientTape() as tape:
                value = himmelblau(x.value, y.value)
            optimizer.apply(tape.gradient(value, [x.value, y.value]), [x, y])

    descend()
    assert (float(x), float(y)) == pytest.approx(minimum, abs=1e-3)
