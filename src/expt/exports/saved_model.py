"""TensorFlow's SavedModel: a folder that TensorFlow Serving and TensorFlow itself read."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

INPUT = "input"


def write(model: keras.Model, path: Path) -> None:
    """Writes a model as it is in evaluation, for batches of any size."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve", functools.partial(model.__call__, training=False), [input_spec(model)]
    )
    archive.write_out(path, verbose=False)


def load(path: Path) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Returns the function from inputs to outputs that a folder holds."""
    loaded = tf.saved_model.load(path)

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        (made,) = loaded.signatures["serving_default"](**{INPUT: tf.constant(inputs)}).values()
        outputs: NDArray[Any] = made.numpy()
        return outputs

    return run


def input_spec(model: keras.Model) -> tf.TensorSpec:
    """Returns what a model takes: a batch of any size."""
    (given,) = model.inputs
    return tf.TensorSpec((None, *given.shape[1:]), given.dtype, name=INPUT)
