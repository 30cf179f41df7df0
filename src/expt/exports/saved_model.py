"""SavedModel, a folder that TensorFlow and TensorFlow Serving read."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

INPUT = "input"
"""The name of the input tensor in every format."""


def write(model: keras.Model, path: Path) -> None:
    """Writes a model in inference mode, for batches of any size.

    Args:
        model: A model with one input and one output.
        path: The folder to write.
    """
    # Not model.export, which names the input after the model's input tensor.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve", functools.partial(model.__call__, training=False), [input_spec(model)]
    )
    archive.write_out(path, verbose=False)


def load(path: Path) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Returns the exported model as a function from a batch of inputs to outputs."""
    loaded = tf.saved_model.load(path)

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        (made,) = loaded.signatures["serving_default"](**{INPUT: tf.constant(inputs)}).values()
        outputs: NDArray[Any] = made.numpy()
        return outputs

    return run


def input_spec(model: keras.Model) -> tf.TensorSpec:
    """Returns the signature of a model's input: shape [any batch size, …], type and name."""
    (given,) = model.inputs
    return tf.TensorSpec((None, *given.shape[1:]), given.dtype, name=INPUT)
