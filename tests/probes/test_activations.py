"""Activations, saturated and dead units against NumPy."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.probes.activations import Activations, activations_of
from probes.subjects import LeastSquares, RecordedMoment


def _watched(model: keras.Model, inputs: tf.Tensor) -> Any:
    subject = LeastSquares()
    subject.model, subject.inputs = model, inputs
    return subject


class _Subclassed(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(6, activation="sigmoid", name="hidden")
        self.outputs_ = keras.layers.Dense(2, name="outputs")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.outputs_(self.hidden(inputs))


def _dense(activation: str) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, name="first"),
            keras.layers.Activation(activation, name="act"),
            keras.layers.Dense(3, activation="softmax", name="last"),
        ]
    )


def _inputs() -> tf.Tensor:
    # A large scale, so that sigmoid and tanh saturate for some examples.
    return tf.constant(np.random.default_rng(0).normal(size=(40, 4), scale=3), tf.float32)


@pytest.mark.parametrize(
    ("activation", "slope"),
    [
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z)) * (1 - 1 / (1 + np.exp(-z)))),
        ("tanh", lambda z: 1 - np.tanh(z) ** 2),
        ("relu", lambda z: (z > 0).astype(float)),
    ],
)
def test_saturation_is_the_share_of_small_slopes(activation: str, slope: object) -> None:
    model, inputs, moment = _dense(activation), _inputs(), RecordedMoment()
    Activations()(moment, _watched(model, inputs))
    assert callable(slope)
    slopes = slope(model.get_layer("first")(inputs).numpy())
    assert moment.scalars["saturated_share/act"] == pytest.approx((slopes < 0.05).mean())
    outputs = model.get_layer("act")(model.get_layer("first")(inputs)).numpy()
    np.testing.assert_allclose(moment.histograms["activations/act"], outputs, rtol=1e-5)
    assert moment.scalars["activation_mean/act"] == pytest.approx(outputs.mean(), rel=1e-5)
    # A softmax depends on all units of its layer, so no single unit is dead.
    assert [name for name in moment.scalars if name.startswith("dead_share")] == ["dead_share/act"]


def test_unit_is_dead_if_no_example_activates_it() -> None:
    model, moment = _dense("relu"), RecordedMoment()
    first = model.get_layer("first")
    first.bias.assign([-1e3, -1e3, 0, 0, 1e3])  # always off twice, mixed twice, always on
    Activations()(moment, _watched(model, _inputs()))
    assert moment.scalars["dead_share/act"] == pytest.approx(0.4)


def test_activations_of_layers_and_subclassed_models_are_found() -> None:
    model, inputs = _Subclassed(), _inputs()
    expected = model(inputs).numpy()
    ((name, (_, z)),) = activations_of(model, inputs)
    assert name == "hidden"
    np.testing.assert_allclose(z, inputs @ model.hidden.kernel + model.hidden.bias, rtol=1e-5)
    # The probe replaces methods of layers while it runs, and must restore them.
    np.testing.assert_array_equal(model(inputs).numpy(), expected)
    assert model.hidden.activation is keras.activations.sigmoid


def test_layers_without_attribute_activation_are_restored() -> None:
    layers = [keras.layers.ReLU(), keras.layers.LeakyReLU(), keras.layers.ELU()]
    model = keras.Sequential([keras.Input((4,)), *layers])
    assert len(activations_of(model, _inputs())) == 3
    assert not any("call" in layer.__dict__ for layer in layers)


def test_recurrent_layers_are_ignored() -> None:
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.SimpleRNN(3)])
    inputs = tf.ones((2, 5, 4))
    # In a graph, as in a run: there the steps of a recurrent layer are in a loop, and a tensor from
    # inside of the loop can't be used outside.
    assert not tf.function(lambda: len(activations_of(model, inputs)))()
