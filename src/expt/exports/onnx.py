"""ONNX, a file format that many runtimes read. Requires the extra `onnx`.

Keras' own ONNX export is not used: it turns the constants of a Normalization into inputs, and omits
the operations of gelu and celu with only a log line.
"""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.util import deprecation

from expt.errors import UserError
from expt.exports.saved_model import INPUT, input_spec

_OPSET = 18  # version of ONNX's operator set


def write(model: keras.Model, path: Path) -> None:
    """Writes a model in inference mode, for batches of any size.

    Args:
        model: A model with one input and one output.
        path: The file to write.

    Raises:
        UserError: The model needs operations that tf2onnx cannot convert.
    """
    # Not at the top: the other formats work without these optional packages.
    import onnx
    import tf2onnx  # type: ignore[import-untyped]

    _register_missing_operations()
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # missing operations raise below
    with deprecation.silence():
        call = tf.function(functools.partial(model.__call__, training=False), autograph=False)
        traced = call.get_concrete_function(input_spec(model))
        # Variables become constants. Loops are not lowered, as in tf2onnx, which converts While.
        frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
        (given,), (result,) = frozen.inputs, frozen.outputs
        made, _ = tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(add_shapes=True),
            name=model.name,
            input_names=[given.name],
            output_names=[result.name],
            opset=_OPSET,
            tensors_to_rename={given.name: INPUT, result.name: "output"},
        )
    # tf2onnx copies an operation that it cannot convert, under its TensorFlow name.
    unknown = sorted({node.op_type for node in made.graph.node if not onnx.defs.has(node.op_type)})
    if unknown:
        raise UserError(
            f"onnx: the model needs {', '.join(unknown)}, which cannot be converted. The format "
            "saved_model supports all operations."
        )
    for value in (*made.graph.input, *made.graph.output):
        # A named dimension; tf2onnx writes an arbitrary name for each unknown size.
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, path)


def load(path: Path) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Returns the exported model as a function from a batch of inputs to outputs."""
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: NDArray[Any]) -> NDArray[Any]:
        outputs: NDArray[Any]
        (outputs,) = session.run(None, {INPUT: inputs})
        return outputs

    return run


@functools.cache
def _register_missing_operations() -> None:
    """Adds to tf2onnx what gelu and celu need: erfc(x) = 1 - erf(x) and expm1(x) = exp(x) - 1."""
    # Cached, since tf2onnx keeps handlers in a global registry.
    from tf2onnx import utils
    from tf2onnx.handler import tf_op  # type: ignore[import-untyped]

    def replace(context: Any, node: Any, operation: str, *, one_first: bool) -> None:
        (given,), (result,), name = node.input, node.output, node.name
        dtype = context.get_dtype(result)
        kind = {"shapes": [context.get_shape(result)], "dtypes": [dtype]}
        number = np.array(1, utils.map_onnx_to_numpy_type(dtype))
        one = context.make_const(utils.make_name("one"), number).output[0]
        context.remove_node(name)
        new_name = utils.make_name(name)
        value = context.make_node(operation, [given], name=new_name, **kind).output[0]
        terms = [one, value] if one_first else [value, one]
        context.make_node("Sub", terms, name=name, outputs=[result], **kind)

    @tf_op("Erfc")
    class _Erfc:
        @classmethod
        def version_9(cls, context: Any, node: Any, **_unused: Any) -> None:
            replace(context, node, "Erf", one_first=True)

    @tf_op("Expm1")
    class _Expm1:
        @classmethod
        def version_7(cls, context: Any, node: Any, **_unused: Any) -> None:
            replace(context, node, "Exp", one_first=False)
