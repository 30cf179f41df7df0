"""Models to export, and readers of exports as other programs use them."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.exports import onnx, saved_model, tflite
from expt.parts.data.scale import Scale
from expt.parts.models.standardization import get_scales, with_standardization
from expt.parts.models.transformer import vit
from parts.models.model_helpers import Act

Array = NDArray[Any]
Run = Callable[[Array], Array]

layers = keras.layers
FORMATS: dict[str, Any] = {"saved_model": saved_model, "onnx": onnx, "tflite": tflite}
# Far from 0 and 1, as the values of tables are.
MEAN, DEVIATION = np.array([-3.0, 0.0, 200.0, 5e4]), np.array([0.5, 1.0, 30.0, 2e4])
ACTIVATIONS = (
    *("celu", "elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "mish", "relu6"),
    *("selu", "sigmoid", "silu", "softplus", "softsign", "tanh"),
)


def table() -> keras.Model:
    """A model that standardizes its inputs and returns values in the unit of the targets."""
    network = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(2)])
    targets = Scale(np.array([10.0, -4.0]), np.array([2.0, 3.0]))
    return unsettled(with_standardization(network, Scale(MEAN, DEVIATION), targets))


def cnn() -> keras.Model:
    """A residual network with layers that behave differently in training."""
    inputs = keras.Input((8, 8, 1))
    hidden = layers.RandomFlip(seed=0)(inputs)
    hidden = layers.GaussianNoise(1.0, seed=0)(hidden)
    shortcut = hidden = layers.Conv2D(4, 3, padding="same")(hidden)
    hidden = layers.ReLU()(layers.BatchNormalization()(hidden))
    hidden = layers.Add()([shortcut, layers.Conv2D(4, 3, padding="same")(hidden)])
    hidden = layers.Flatten()(layers.MaxPooling2D()(hidden))
    return unsettled(keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.5, seed=0)(hidden))))


def generator() -> keras.Model:
    inputs = keras.Input((6,))
    hidden = layers.Reshape((2, 2, 8))(layers.Dense(32)(inputs))
    hidden = layers.LeakyReLU()(layers.BatchNormalization()(hidden))
    hidden = layers.UpSampling2D()(hidden)
    outputs = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid")(hidden)
    return unsettled(keras.Model(inputs, outputs))


def transformer() -> keras.Model:
    act = Act(lambda: layers.Activation("gelu"), "he_normal")
    sizes: dict[str, Any] = {"patch_size": 4, "width": 8, "depth": 1, "heads": 2}
    return unsettled(vit((8, 8, 1), 10, act, dropout=0.1, **sizes))


def activations() -> keras.Model:
    """All activations side by side, so that none hides another."""
    inputs = keras.Input((4,))
    hidden = layers.Dense(6)(inputs)
    each = [layers.Activation(name)(hidden) for name in ACTIVATIONS]
    return unsettled(keras.Model(inputs, layers.Concatenate()([*each, layers.PReLU()(hidden)])))


MODELS = (table, cnn, generator, transformer, activations)


def unsettled(model: keras.Model) -> keras.Model:
    """Moves all weights, also batch statistics, away from their initial values."""
    random = np.random.default_rng(0)
    model.set_weights([w + random.uniform(0.05, 0.5, w.shape) for w in model.get_weights()])
    return model


def inputs_for(model: keras.Model, size: int) -> Array:
    random = np.random.default_rng(size)
    normal = random.normal(size=(size, *model.input_shape[1:]))
    raw = get_scales(model)[0] is not None
    return np.asarray(MEAN + DEVIATION * normal if raw else normal, model.inputs[0].dtype)


def read_saved_model(path: Path) -> Run:
    loaded = tf.saved_model.load(path)
    return lambda inputs: np.asarray(loaded.serve(inputs))


def read_onnx(path: Path) -> Run:
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(path)
    return lambda inputs: np.asarray(session.run(["output"], {"input": inputs})[0])


def read_tflite(path: Path) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(os.fspath(path))

    def run(inputs: Array) -> Array:
        (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
        inputs = inputs.astype(np.float32)
        interpreter.resize_tensor_input(given["index"], inputs.shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], inputs)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(made["index"]))

    return run


READERS: dict[str, Callable[[Path], Run]] = {
    "saved_model": read_saved_model,
    "onnx": read_onnx,
    "tflite": read_tflite,
}
