"""Every format, read back with the runtimes that other programs use."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from exports.export_helpers import FORMATS, MODELS, READERS, inputs_for
from expt.errors import UserError

layers = keras.layers


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_export_has_the_outputs_of_the_saved_model(
    make: Callable[[], keras.Model], name: str, tmp_path: Path
) -> None:
    made = make()
    made.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    path = tmp_path / "export"
    FORMATS[name].write(model, path)
    own, others = FORMATS[name].load(path), READERS[name](path)
    for size in (1, 7):
        inputs = inputs_for(model, size)
        expected = np.asarray(made(inputs, training=False))
        assert np.abs(expected - np.asarray(made(inputs * 1.01, training=False))).max() > 1e-3
        for run in (others, own):
            outputs = run(inputs)
            assert outputs.dtype == (np.float32 if name == "tflite" else expected.dtype)
            np.testing.assert_allclose(
                outputs, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max()
            )


def test_onnx_tensors_have_plain_names_and_any_batch_size(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "model.onnx"
    FORMATS["onnx"].write(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), path)
    graph = onnx.load(path).graph
    (given,), (made,) = graph.input, graph.output
    assert (given.name, made.name) == ("input", "output")
    for value, width in ((given, 4), (made, 3)):
        batch, values = value.type.tensor_type.shape.dim
        assert (batch.dim_param, values.dim_value) == ("batch", width)


@keras.saving.register_keras_serializable("exports")
class Odd(keras.layers.Layer):  # type: ignore[misc]
    """An operation that other runtimes lack."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.digamma(tf.abs(inputs) + 1.0)


@pytest.mark.parametrize("name", ["onnx", "tflite"])
def test_a_missing_operation_is_named(name: str, tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(Odd()(inputs)))
    with pytest.raises(UserError, match=f"^{name}: .*Digamma.* saved_model"):
        FORMATS[name].write(model, tmp_path / "export")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_softplus_is_exact_from_0_to_infinity(name: str, tmp_path: Path) -> None:
    """It occurs as a link function, as an activation layer, and within a layer."""
    inputs = keras.Input((8,))
    dense = layers.Dense(8, "softplus", kernel_initializer="identity")
    outputs = layers.Concatenate()([dense(inputs), layers.Activation("softplus")(inputs)])
    model = keras.Model(inputs, outputs)
    FORMATS[name].write(model, tmp_path / "export")
    x = np.array([[-30, -17, -10, 0, 20, 88, 89, 1e6]], np.float32)
    expected = np.tile(np.logaddexp(0, x.astype(np.float64)), 2)
    np.testing.assert_allclose(READERS[name](tmp_path / "export")(x), expected, rtol=1e-5)
    assert model.layers[1].activation is keras.activations.softplus


def test_tflite_names_the_operation_of_a_loop(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3, 4)), layers.LSTM(2)])
    with pytest.raises(UserError, match=r"^tflite: .*TensorListReserve"):
        FORMATS["tflite"].write(model, tmp_path / "export")
