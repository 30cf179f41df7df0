"""TensorFlow Lite, a file format for phones and small devices."""

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import UserError
from expt.exports import saved_model
from expt.parts.data.reading import error_context
from expt.parts.models.standardization import in_single_precision

# The part of a converter's error that names the unsupported operation.
_FAILED = re.compile(r'error: loc\([^"]*"(\w+):"')


def write(model: keras.Model, path: Path) -> None:
    """Writes a model in inference mode, for batches of any size.

    Inputs and outputs are float32, since TensorFlow Lite has no arithmetic in float64.

    Args:
        model: A model with one input and one output.
        path: The file to write.

    Raises:
        UserError: The model needs operations that TensorFlow Lite lacks, or values that float32
            cannot represent.
    """
    with error_context("tflite: "):
        model = in_single_precision(model)
    with tempfile.TemporaryDirectory() as folder:
        with _exact_softplus(model):
            saved_model.write(model, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        # No TensorFlow operations, which need a runtime with TensorFlow's kernels.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            content = converter.convert()
        except Exception as error:  # the converter's class of errors is not public
            missing = sorted(set(_FAILED.findall(str(error))))
            if not missing:
                raise
            raise UserError(
                f"tflite: TensorFlow Lite has no {', '.join(missing)}, which the model needs for "
                "batches of any size. The formats onnx and saved_model may support it."
            ) from error
    path.write_bytes(content)


@contextmanager
def _exact_softplus(model: keras.Model) -> Iterator[None]:
    """Replaces softplus while the model is written.

    TensorFlow Lite would compute log(1 + exp(x)), which is infinite from 89 on and 0 below -17.
    """
    layers = [
        layer
        for layer in model._flatten_layers()  # no public method visits nested models
        if getattr(layer, "activation", None) is keras.activations.softplus
    ]
    for layer in layers:
        layer.activation = _softplus
    try:
        yield
    finally:
        for layer in layers:
            layer.activation = keras.activations.softplus


def _softplus(x: tf.Tensor) -> tf.Tensor:
    """Computes log(1 + exp(x)) as max(x, 0) + log(1 + u), u = exp(-|x|), to all digits.

    Source: D. Goldberg, "What Every Computer Scientist Should Know About Floating-Point
    Arithmetic", ACM Computing Surveys 23, 1991, theorem 4: log(1 + u) = u log(v) / (v - 1), where v
    is 1 + u after rounding.
    """
    u = tf.exp(-tf.abs(x))
    v = 1.0 + u
    return tf.nn.relu(x) + tf.where(v == 1.0, u, u * tf.math.log(v) / (v - 1.0))


def load(path: Path) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Returns the exported model as a function from a batch of inputs to outputs."""
    with warnings.catch_warnings():
        # Its successor, LiteRT, is a separate package that reads the same files.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner()

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        outputs: NDArray[Any]
        given = inputs.astype(runner.get_input_details()[saved_model.INPUT]["dtype"])
        (outputs,) = runner(**{saved_model.INPUT: given}).values()
        return outputs

    return run
