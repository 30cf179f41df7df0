from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.parts.losses import crossentropy, mse
from expt.parts.metrics import mae
from expt.train.input.batch import Batch
from expt.train.step import make_train_step, values_of

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((8, 3)).astype(np.float32)
Y = RANDOM.standard_normal((8, 1)).astype(np.float32)
BATCH = Batch(tf.constant(X), tf.constant(Y))


def make_model(regularizer: Any = None) -> Any:
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1, kernel_regularizer=regularizer)(inputs))


def make_step(model: Any, optimizer: Any) -> Any:
    optimizer.build(model.trainable_variables)
    return make_train_step(model, mse, optimizer, {"mae": mae})


def reference(weights: list[Any], l2: float) -> tuple[float, Any, Any]:
    """Returns the loss of the linear model and its gradients, computed with NumPy."""
    w, b = weights
    error = X @ w + b - Y
    loss = float(np.mean(error**2) + l2 * np.sum(w**2))
    return loss, 2 * X.T @ error / len(X) + 2 * l2 * w, 2 * error.mean(axis=0)


@pytest.mark.parametrize("l2", [0.0, 0.5])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_step_is_gradient_descent(l2: float, is_compiled: bool) -> None:
    model = make_model(keras.regularizers.L2(l2) if l2 else None)
    step = make_step(model, keras.optimizers.SGD(0.1))
    if is_compiled:
        step = tf.function(step)
    for _ in range(3):
        w, b = model.get_weights()
        loss, dw, db = reference([w, b], l2)
        scalars = step(BATCH)
        assert list(scalars) == ["loss", "mae", "grad_norm", "learning_rate"]
        assert float(scalars["loss"]) == pytest.approx(loss, rel=1e-5)
        assert float(scalars["mae"]) == pytest.approx(np.abs(X @ w + b - Y).mean(), rel=1e-5)
        norm = np.sqrt(np.sum(dw**2) + np.sum(db**2))
        assert float(scalars["grad_norm"]) == pytest.approx(norm, rel=1e-5)
        assert float(scalars["learning_rate"]) == pytest.approx(0.1)
        np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * dw, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.get_weights()[1], b - 0.1 * db, rtol=1e-5, atol=1e-6)


def test_learning_rate_is_that_of_the_update() -> None:
    model = make_model()
    rates = keras.optimizers.schedules.PiecewiseConstantDecay([0, 2], [0.1, 0.01, 0.5])
    step = make_step(model, keras.optimizers.SGD(rates))
    reported, applied = [], []
    for _ in range(4):
        w, b = model.get_weights()
        _, _, db = reference([w, b], 0.0)
        # The applied rate is found from the change of the bias and its gradient.
        reported.append(float(step(BATCH)["learning_rate"]))
        applied.append(float(((b - model.get_weights()[1]) / db)[0]))
    assert reported == pytest.approx([0.1, 0.01, 0.01, 0.5])
    assert applied == pytest.approx(reported, rel=1e-3)


@pytest.mark.parametrize("is_scaled", [False, True])
def test_learning_rate_of_adafactor_is_the_applied_one(is_scaled: bool) -> None:
    """min(α, 1 / √t); the size of a step is this times the root mean square of the weights."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = keras.optimizers.Adafactor(0.6, epsilon_1=1e-16)
    step = make_step(
        model, keras.optimizers.LossScaleOptimizer(optimizer) if is_scaled else optimizer
    )
    for number in range(1, 5):
        (before,) = model.get_weights()
        rate = float(step(BATCH)["learning_rate"])
        assert rate == pytest.approx(min(0.6, number**-0.5))
        # Only in the first step are all components of the direction ±1.
        if number == 1:
            change = np.abs(model.get_weights()[0] - before)
            np.testing.assert_allclose(change, rate * np.sqrt(np.mean(before**2)), rtol=1e-4)


@pytest.mark.parametrize("initial_scale", [1.0, 1024.0])
def test_loss_scaling_changes_neither_scalars_nor_update(initial_scale: float) -> None:
    plain, scaled = make_model(), make_model()
    scaled.set_weights(plain.get_weights())
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=initial_scale, dynamic_growth_steps=2
    )
    steps = make_step(plain, keras.optimizers.SGD(0.1)), make_step(scaled, optimizer)
    # The scale grows during the test.
    for _ in range(5):
        expected, found = ({k: float(v) for k, v in step(BATCH).items()} for step in steps)
        assert found == pytest.approx(expected, rel=1e-5)
    for one, other in zip(plain.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_layers_run_in_training_mode() -> None:
    inputs = keras.Input((3,))
    normed = keras.layers.BatchNormalization()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(normed))
    # Batch normalization updates its statistics only in training mode.
    before = [variable.numpy() for variable in model.non_trainable_variables]
    make_step(model, keras.optimizers.SGD(0.1))(BATCH)
    after = [variable.numpy() for variable in model.non_trainable_variables]
    assert any((one != other).any() for one, other in zip(before, after, strict=True))


def test_frozen_variables_are_not_changed() -> None:
    inputs = keras.Input((3,))
    frozen = keras.layers.Dense(4, trainable=False)
    model = keras.Model(inputs, keras.layers.Dense(1)(frozen(inputs)))
    before = frozen.kernel.numpy()
    make_step(model, keras.optimizers.SGD(0.1))(BATCH)
    np.testing.assert_array_equal(frozen.kernel.numpy(), before)


def test_examples_are_weighted() -> None:
    model, weights = make_model(), RANDOM.uniform(size=8).astype(np.float32)
    weights[:3] = 0
    step = make_step(model, keras.optimizers.SGD(0.1))
    w, b = model.get_weights()
    error = X @ w + b - Y
    share = weights[:, None] / weights.sum()
    scalars = step(BATCH._replace(weights=tf.constant(weights)))
    assert float(scalars["loss"]) == pytest.approx(float(np.sum(share * error**2)), rel=1e-5)
    dw, db = 2 * X.T @ (share * error), 2 * (share * error).sum(axis=0)
    np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * dw, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], b - 0.1 * db, rtol=1e-5, atol=1e-6)


def test_batch_of_masked_examples_changes_no_variable() -> None:
    model = make_model()
    before = model.get_weights()
    scalars = make_step(model, keras.optimizers.SGD(0.1))(BATCH._replace(weights=tf.zeros(8)))
    assert float(scalars["loss"]) == float(scalars["grad_norm"]) == 0.0
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_mixup_loss_is_the_crossentropy_of_soft_labels() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    targets, mixed_targets = RANDOM.integers(0, 4, (2, 8)).astype(np.int32)
    share = RANDOM.uniform(size=8).astype(np.float32)
    w, b = model.get_weights()
    logits = X @ w + b
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    onehot = np.eye(4, dtype=np.float32)
    soft = (1 - share[:, None]) * onehot[targets] + share[:, None] * onehot[mixed_targets]
    mixed = Batch(tf.constant(X), tf.constant(targets), None, mixed_targets, tf.constant(share))
    scalars = make_train_step(model, crossentropy, optimizer, {})(mixed)
    expected = -np.sum(soft * np.log(p), axis=1).mean()
    assert float(scalars["loss"]) == pytest.approx(float(expected), rel=1e-5)
    dw = X.T @ (p - soft) / 8
    np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * dw, rtol=1e-4, atol=1e-6)


def test_metrics_of_mixed_examples_use_the_label_with_the_larger_share() -> None:
    seen: list[Any] = []

    def metric(targets: Any, outputs: Any) -> Any:
        seen.append(targets.numpy().tolist())
        return tf.reduce_mean(outputs)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    own, others = tf.constant([0, 1, 2, 3]), tf.constant([3, 2, 1, 0])
    share = tf.constant([0.0, 0.4, 0.6, 1.0])
    step = make_train_step(model, crossentropy, optimizer, {"seen": metric})
    step(Batch(tf.constant(X[:4]), own, None, others, share))
    step(Batch(tf.constant(X[:4]), own))
    assert seen == [[0, 1, 1, 0], [0, 1, 2, 3]]


def test_losses_and_metrics_receive_float32() -> None:
    # Set during construction only: a layer keeps the policy that it was made with.
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert model(X).dtype == tf.bfloat16
    seen = []

    def loss(targets: Any, outputs: Any) -> Any:
        seen.append(outputs.dtype)
        return mse(targets, outputs)

    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    make_train_step(model, loss, optimizer, {"mae": lambda t, o: loss(t, o)[0]})(BATCH)
    assert seen == [tf.float32, tf.float32]


def layered() -> keras.Model:
    """Returns a model whose forward pass changes all kinds of variables."""
    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.SpectralNormalization(keras.layers.Dense(4)),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(0.1)),
            keras.layers.ActivityRegularization(0.01),
        ]
    )


def arrays(variables: Any) -> list[Any]:
    return [variable.numpy() for variable in variables]


def assert_equal(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


PAIR = Batch(tf.constant([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]), tf.constant([[1.0], [2.0], [0.0]]))


def test_gradients_is_a_pure_function() -> None:
    model, optimizer = layered(), keras.optimizers.SGD(0.1)
    step = make_step(model, optimizer)
    weights, states, before = (
        values_of(step.weights),
        values_of(step.states),
        arrays(model.variables),
    )
    first, again = (step.gradients(weights, PAIR, states) for _ in range(2))
    assert_equal(arrays(model.variables), before)
    assert int(optimizer.iterations) == 0
    for one, other in zip(first[1:], again[1:], strict=True):
        assert_equal(one, other)
    # With other states, dropout and hence the gradients differ.
    other = step.gradients(weights, PAIR, first.states)
    assert any((a != b).numpy().any() for a, b in zip(first.means, other.means, strict=True))
    step.update(first)
    assert_equal(arrays(step.states)[:1], [first.states[0].numpy()])
    assert int(optimizer.iterations) == 1


@pytest.mark.parametrize("is_compiled", [False, True])
def test_step_equals_a_plain_gradient_tape(is_compiled: bool) -> None:
    """Including what a forward pass changes: averages, random states and kernels."""
    model, plain, steps = layered(), layered(), 3
    optimizers = [keras.optimizers.SGD(0.1) for _ in range(2)]
    for network, optimizer in zip((model, plain), optimizers, strict=True):
        optimizer.build(network.trainable_variables)
    step: Any = make_train_step(model, mse, optimizers[0], {})
    step = tf.function(step) if is_compiled else step
    for _ in range(steps):
        step(PAIR)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(mse(PAIR.targets, plain(PAIR.inputs, training=True)))
            loss += tf.add_n(plain.losses)
        gradients = tape.gradient(loss, plain.trainable_variables)
        optimizers[1].apply(gradients, plain.trainable_variables)
    for one, other in zip(arrays(model.variables), arrays(plain.variables), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
