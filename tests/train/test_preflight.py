from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.losses import mse
from expt.train.preflight import preflight

RANDOM = np.random.default_rng(0)


def make_dataset(num_outputs: int = 2) -> Dataset:
    inputs = RANDOM.standard_normal((12, 3)).astype(np.float32)
    targets = RANDOM.standard_normal((12, num_outputs)).astype(np.float32)
    split = Split(inputs, targets)
    return Dataset("toy", "regression", split, split, split, batch_size=4)


def make_model(*layers: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])
    assert model.built
    return model


class Unused(keras.layers.Layer):  # type: ignore[misc]
    """Has a trainable variable and makes no use of it."""

    def build(self, input_shape: Any) -> None:
        del input_shape
        self.forgotten = self.add_weight(shape=(2,), name="forgotten")

    def call(self, inputs: Any) -> Any:
        return inputs


def test_what_fits_passes() -> None:
    preflight(make_model(), mse, make_dataset())


def test_outputs_of_another_width_are_told() -> None:
    with pytest.raises(UserError, match=r"\(4, 2\); data=toy needs \(4, 5\): 5 for each example"):
        preflight(make_model(), mse, make_dataset(num_outputs=5))


def test_outputs_of_another_rank_are_told() -> None:
    model = make_model(keras.layers.RepeatVector(6))
    with pytest.raises(UserError, match=r"\(4, 6, 2\)"):
        preflight(model, mse, make_dataset())


def test_a_loss_that_takes_the_mean_itself_is_told() -> None:
    with pytest.raises(UserError, match=r"loss: it gave the shape \(\).*one value for each, \(4,"):
        preflight(make_model(), lambda t, o: tf.reduce_mean(mse(t, o)), make_dataset())


def test_a_variable_without_a_gradient_is_named() -> None:
    with pytest.raises(UserError, match=r"does not depend on .*forgotten"):
        preflight(make_model(Unused(name="unused")), mse, make_dataset())


def test_a_loss_that_stops_the_gradient_is_told() -> None:
    with pytest.raises(UserError, match=r"does not depend on .*kernel.*bias"):
        preflight(make_model(), lambda t, o: mse(t, tf.stop_gradient(o)), make_dataset())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_told(value: float) -> None:
    with pytest.raises(UserError, match="loss: it is not finite"):
        preflight(make_model(), lambda t, o: mse(t, o) * value, make_dataset())


def test_it_changes_nothing() -> None:
    model = make_model(
        keras.layers.BatchNormalization(),
        keras.layers.GaussianNoise(1.0),
        keras.layers.Dense(8),
        keras.layers.Dropout(0.5),
    )
    before = {variable.path: variable.numpy() for variable in model.variables}
    assert sum("seed" in path for path in before) == 2
    preflight(model, mse, make_dataset())
    for variable in model.variables:
        np.testing.assert_array_equal(variable.numpy(), before[variable.path])
