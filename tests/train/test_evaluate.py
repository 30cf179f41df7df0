from typing import Any

import keras
import numpy as np
import pytest

from expt.parts.data.dataset import Split
from expt.parts.losses import crossentropy, mse
from expt.parts.metrics import accuracy, mae, rmse
from expt.train.evaluate import make_evaluate

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((1500, 3)).astype(np.float32)
# Spread out, so that a mean of the batches' means would be another number.
Y = (RANDOM.standard_normal((1500, 2)) * np.linspace(0.1, 5, 1500)[:, None]).astype(np.float32)


def linear(**options: Any) -> Any:
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2, **options)(inputs))


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1500])
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_it_is_numpys_on_the_whole_split(size: int, mode: str) -> None:
    check_against_numpy(size, mode)


def test_xla_gives_the_same() -> None:
    check_against_numpy(513, "xla")


def check_against_numpy(size: int, mode: str) -> None:
    model, split = linear(), Split(X[:size], Y[:size])
    values, outputs = make_evaluate(model, mse, {"mae": mae, "rmse": rmse}, split, mode)()
    w, b = model.get_weights()
    expected = X[:size] @ w + b
    error = expected - Y[:size]
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert list(values) == ["loss", "mae", "rmse"]
    assert values == pytest.approx(
        {
            "loss": np.mean(error**2),
            "mae": np.mean(np.abs(error)),
            "rmse": np.sqrt(np.mean(error**2)),
        },
        rel=1e-5,
    )


def test_classes() -> None:
    model, labels = linear(), (Y[:700, 0] > 0).astype(np.int32)
    split = Split(X[:700], labels)
    values, outputs = make_evaluate(model, crossentropy, {"accuracy": accuracy}, split, "graph")()
    log_p = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    assert values["loss"] == pytest.approx(-log_p[np.arange(700), labels].mean(), rel=1e-5)
    assert values["accuracy"] == pytest.approx((outputs.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("size", [10, 600])
def test_penalties_on_weights_count_once(size: int) -> None:
    model = linear(
        kernel_regularizer=keras.regularizers.L2(0.5),
        bias_initializer="ones",
        bias_regularizer="l1",
    )
    values, outputs = make_evaluate(model, mse, {}, Split(X[:size], Y[:size]), "graph")()
    w, b = model.get_weights()
    penalties = 0.5 * np.sum(w**2) + 0.01 * np.sum(np.abs(b))
    error = np.mean((outputs - Y[:size]) ** 2)
    assert values["loss"] == pytest.approx(error + penalties, rel=1e-5)


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_it_sees_the_weights_of_now_and_changes_nothing(mode: str) -> None:
    inputs = keras.Input((3,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    evaluate = make_evaluate(model, mse, {}, Split(X[:520], Y[:520]), mode)
    first, _ = evaluate()
    before = [variable.numpy() for variable in model.variables]
    assert evaluate()[0] == first
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    model.trainable_variables[-1].assign([100.0, 100.0])
    assert evaluate()[0]["loss"] > 1000


def test_inputs_may_have_any_shape() -> None:
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    images = RANDOM.standard_normal((600, 4, 4, 1)).astype(np.float32)
    _, outputs = make_evaluate(model, mse, {}, Split(images, Y[:600]), "graph")()
    np.testing.assert_allclose(outputs, model(images).numpy(), rtol=1e-4, atol=1e-5)
