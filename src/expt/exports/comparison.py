"""Whether an export gives what the model gives."""

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError, UserError
from expt.parts.data.scale import Scale
from expt.parts.models.standardization import scales_of

# Sums in another order differ by some 1e-6 of the outputs' scale; a wrong operation by far more.
_LARGEST_DIFFERENCE = 1e-4
_BATCH_SIZES = (1, 5)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model that is exported: of a mixed precision one, a copy that has float32 only.

    Raises:
        UserError: The model is not one that maps one tensor to one tensor.
    """
    for ends in ("inputs", "outputs"):
        if len(getattr(model, ends, None) or ()) != 1:
            raise UserError(
                f"model: {type(model).__name__} can't be exported; expected a functional or "
                "Sequential model with one input and one output."
            )
    text = model.to_json()
    of_copy = re.sub(r'"mixed_b?float16"', '"float32"', text)
    if of_copy == text:
        return model
    copy = keras.models.model_from_json(of_copy)
    copy.set_weights(model.get_weights())
    return copy


def largest_difference(
    model: keras.Model,
    exported: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    takes_float32: bool = False,
) -> float:
    """Compares an export's outputs with a model's, on batches of several sizes.

    Args:
        model: What was exported.
        exported: Runs the export.
        takes_float32: Whether the export takes float32 where the model takes float64; then both
            are given values that float32 has.

    Returns:
        The largest absolute difference, divided by the targets' standard deviation where the
        model has their scale, else by the largest absolute output.

    Raises:
        RunError: The export can't be run, or its outputs are not the model's.
    """
    random = np.random.default_rng(0)
    differences = []
    of_inputs, of_outputs = scales_of(model)
    for size in _BATCH_SIZES:
        inputs = _draw_inputs(model, of_inputs, size, random)
        if takes_float32:
            inputs = inputs.astype(np.float32).astype(inputs.dtype)
        expected = np.asarray(model(inputs, training=False))
        try:
            outputs = exported(inputs)
        except Exception as error:  # a runtime raises classes of its own
            raise RunError(f"the export fails on {size} inputs: {error}") from error
        if outputs.shape != expected.shape:
            raise RunError(
                f"the export's outputs have the shape {outputs.shape}, the model's "
                f"{expected.shape}; it is not kept."
            )
        scale = of_outputs.deviation if of_outputs else np.abs(expected).max() or 1.0
        differences.append(float((np.abs(outputs - expected) / scale).max()))
    largest = float(np.max(differences))
    if not largest <= _LARGEST_DIFFERENCE:  # nor if it is not a number
        raise RunError(
            f"the export's outputs differ from the model's by {largest:.2g} of their scale; "
            f"{_LARGEST_DIFFERENCE:g} is accepted. It is not kept."
        )
    return largest


def _draw_inputs(
    model: keras.Model, of_inputs: Scale | None, size: int, random: np.random.Generator
) -> NDArray[Any]:
    """Draws inputs as the training data had them where the model says how, else from 0 to 1."""
    (given,) = model.inputs
    shape = (size, *given.shape[1:])
    inputs = random.uniform(size=shape)
    if of_inputs is not None:
        inputs = of_inputs.mean + of_inputs.deviation * random.normal(size=shape)
    return inputs.astype(given.dtype)
