from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.parts.data.dataset import Split
from expt.parts.losses import binary_crossentropy, crossentropy, mse
from expt.parts.metrics import accuracy, mae, rmse
from expt.train.evaluation import make_evaluate
from expt.train.input.batch import Batch
from expt.train.objective import Objective
from expt.train.step import make_train_step
from train.train_helpers import ArrayStream

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((1500, 3)).astype(np.float32)
# With a large spread, so that the mean of the batch means differs from the mean.
Y = (RANDOM.standard_normal((1500, 2)) * np.linspace(0.1, 5, 1500)[:, None]).astype(np.float32)
REGRESS = Objective(mse, {"mae": mae, "rmse": rmse}, tf.identity)
LOSS_ALONE = Objective(mse, {}, tf.identity)


def linear(num_outputs: int = 2, **options: Any) -> Any:
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(num_outputs, **options)(inputs))


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1500])
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_evaluation_equals_numpy_on_the_whole_split(size: int, mode: str) -> None:
    check_against_numpy(Split(X[:size], Y[:size]), mode)


def test_xla_evaluation_equals_numpy() -> None:
    check_against_numpy(Split(X[:513], Y[:513]), "xla")


@pytest.mark.parametrize(
    ("size", "mode"), [(1, "graph"), (512, "graph"), (513, "graph"), (513, "eager"), (513, "xla")]
)
def test_streamed_evaluation_equals_numpy(size: int, mode: str) -> None:
    check_against_numpy(Split(ArrayStream(X[:size], is_slow=True), Y[:size]), mode)


@pytest.mark.parametrize("is_stream", [False, True])
def test_loss_and_metrics_are_weighted(is_stream: bool) -> None:
    weights = RANDOM.uniform(size=700).astype(np.float32)
    weights[::4] = 0
    inputs = ArrayStream(X[:700]) if is_stream else X[:700]
    check_against_numpy(Split(inputs, Y[:700], weights), "graph")


def check_against_numpy(split: Split, mode: str) -> None:
    model, size = linear(), len(split)
    values, outputs = make_evaluate(model, REGRESS, split, mode)()
    w, b = model.get_weights()
    expected = X[:size] @ w + b
    error = expected - Y[:size]
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert outputs.dtype == np.float32
    assert list(values) == ["loss", "mae", "rmse"]
    assert all(type(value) is float for value in values.values())
    weights = np.ones(size) if split.weights is None else split.weights
    assert values == pytest.approx(
        {
            "loss": np.average(np.mean(error**2, axis=1), weights=weights),
            "mae": np.average(np.mean(np.abs(error), axis=1), weights=weights),
            "rmse": np.sqrt(np.average(np.mean(error**2, axis=1), weights=weights)),
        },
        rel=1e-5,
    )


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_stream_and_memory_have_bit_equal_evaluations(mode: str) -> None:
    model, split = linear(), Split(X[:1100], Y[:1100])
    values, outputs = make_evaluate(model, REGRESS, split, mode)()
    stream = replace(split, inputs=ArrayStream(X[:1100]))
    of_stream, outputs_of_stream = make_evaluate(model, REGRESS, stream, mode)()
    np.testing.assert_array_equal(outputs_of_stream, outputs)
    assert of_stream == pytest.approx(values, rel=1e-6)


def test_classification_metrics_equal_numpy() -> None:
    model, labels = linear(), (Y[:700, 0] > 0).astype(np.int32)
    split = Split(X[:700], labels)
    objective = Objective(crossentropy, {"accuracy": accuracy}, tf.identity)
    values, outputs = make_evaluate(model, objective, split, "graph")()
    log_p = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    assert values["loss"] == pytest.approx(-log_p[np.arange(700), labels].mean(), rel=1e-5)
    assert values["accuracy"] == pytest.approx((outputs.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("is_stream", [False, True])
def test_loss_and_metrics_receive_outputs_and_link_makes_predictions(is_stream: bool) -> None:
    targets = RANDOM.uniform(size=(600, 2)).astype(np.float32)
    split = Split(ArrayStream(X[:600]) if is_stream else X[:600], targets)
    model = linear()
    metrics = {"mae": lambda targets, outputs: mae(targets, tf.nn.sigmoid(outputs))}
    objective = Objective(binary_crossentropy, metrics, tf.nn.sigmoid)
    values, predictions = make_evaluate(model, objective, split, "graph")()
    w, b = model.get_weights()
    p = 1 / (1 + np.exp(-(X[:600] @ w + b)))
    np.testing.assert_allclose(predictions, p, rtol=1e-4, atol=1e-6)
    loss = -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    assert values == pytest.approx({"loss": loss, "mae": np.abs(p - targets).mean()}, rel=1e-5)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("size", [10, 513])
def test_reconstruction_is_compared_with_the_inputs(size: int, is_stream: bool) -> None:
    split = Split(ArrayStream(X[:size]) if is_stream else X[:size], np.zeros(size, np.int32))
    model = linear(3)
    values, outputs = make_evaluate(model, REGRESS, split, "graph", reconstructs=True)()
    w, b = model.get_weights()
    error = X[:size] @ w + b - X[:size]
    np.testing.assert_allclose(outputs, X[:size] + error, rtol=1e-4, atol=1e-5)
    assert values["loss"] == pytest.approx(np.mean(error**2), rel=1e-5)
    assert values["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-5)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("size", [10, 600])
def test_weight_penalties_are_counted_once(size: int, is_stream: bool) -> None:
    model = linear(
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_initializer="ones",
        bias_regularizer="l1",
    )
    # Nested, so that the penalties are those of an inner model.
    nested = keras.Sequential([keras.Input((3,)), model])
    split = Split(ArrayStream(X[:size]) if is_stream else X[:size], Y[:size])
    values, outputs = make_evaluate(nested, LOSS_ALONE, split, "graph")()
    w, b = model.get_weights()
    penalties = 0.5 * np.sum(w**2) + 0.01 * np.sum(np.abs(b))
    error = np.mean((outputs - Y[:size]) ** 2)
    assert values["loss"] == pytest.approx(error + penalties, rel=1e-5)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_evaluation_uses_current_weights_and_changes_no_variable(
    mode: str, is_stream: bool
) -> None:
    inputs = keras.Input((3,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    split = Split(ArrayStream(X[:520]) if is_stream else X[:520], Y[:520])
    evaluate = make_evaluate(model, LOSS_ALONE, split, mode)
    first, _ = evaluate()
    before = [variable.numpy() for variable in model.variables]
    assert evaluate()[0] == first
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    # The function is traced by now, and must not have captured the old value.
    model.trainable_variables[-1].assign([100.0, 100.0])
    assert evaluate()[0]["loss"] > 1000


@pytest.mark.parametrize("is_stream", [False, True])
def test_inputs_may_have_any_shape(is_stream: bool) -> None:
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    images = RANDOM.standard_normal((600, 4, 4, 1)).astype(np.float32)
    split = Split(ArrayStream(images) if is_stream else images, Y[:600])
    _, outputs = make_evaluate(model, LOSS_ALONE, split, "graph")()
    np.testing.assert_allclose(outputs, model(images).numpy(), rtol=1e-4, atol=1e-5)


def test_large_inputs_are_evaluated_in_smaller_batches() -> None:
    sizes: list[int] = []

    class Noted(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            sizes.append(inputs.shape[0])
            return inputs[:, :1, 0]

    inputs = keras.Input((1024, 1024))
    model = keras.Model(inputs, Noted()(inputs))
    # Building the model called the layer with an unknown batch size.
    sizes.clear()
    split = Split(np.zeros((5, 1024, 1024), np.float32), np.zeros((5, 1), np.float32))
    _, outputs = make_evaluate(model, LOSS_ALONE, split, "eager")()
    assert outputs.shape == (5, 1)
    # 2 ** 21 numbers are two inputs of this size.
    assert max(sizes) == 2


@keras.saving.register_keras_serializable("test_evaluate")
class Added(keras.layers.Layer):  # type: ignore[misc]
    """Adds the mean square of its inputs to the loss."""

    def call(self, inputs: Any) -> Any:
        self.add_loss(tf.reduce_mean(tf.square(inputs)))
        return inputs


@pytest.mark.parametrize(
    ("layer", "penalty"),
    [
        (lambda: keras.layers.ActivityRegularization(l2=0.3), lambda h: 0.3 * np.sum(h**2, axis=1)),
        (
            lambda: keras.layers.Activation("linear", activity_regularizer="l1"),
            lambda h: 0.01 * np.sum(np.abs(h), axis=1),
        ),
        (Added, lambda h: np.mean(h**2, axis=1)),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("mode", ["graph", "eager", "xla"])
def test_losses_added_by_layers_count_as_in_training(
    layer: Any, penalty: Any, is_stream: bool, mode: str
) -> None:
    """700 examples are a batch of 512 and a smaller one."""
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer()(keras.layers.Dense(2, kernel_regularizer="l2")(inputs)))
    split = Split(ArrayStream(X[:700]) if is_stream else X[:700], Y[:700])
    values, outputs = make_evaluate(model, LOSS_ALONE, split, mode)()
    kernel, _ = model.get_weights()
    expected = np.mean((outputs - Y[:700]) ** 2) + 0.01 * np.sum(kernel**2)
    expected += penalty(outputs).mean()
    assert values["loss"] == pytest.approx(expected, rel=1e-4)
    optimizer = keras.optimizers.SGD(0.0)
    optimizer.build(model.trainable_variables)
    batch = Batch(tf.constant(X[:700]), tf.constant(Y[:700]))
    in_training = make_train_step(model, mse, optimizer, {})(batch)["loss"]
    assert float(in_training) == pytest.approx(values["loss"], rel=1e-4)
    assert make_evaluate(model, LOSS_ALONE, split, mode)()[0] == values
