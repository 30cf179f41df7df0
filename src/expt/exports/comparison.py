"""Comparison of an export's predictions with those of the saved model."""

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError, UserError
from expt.parts.data.scale import Scale
from expt.parts.models.standardization import get_scales, rounding_error

# Relative to the predictions' scale. Sums in another order differ by some 1e-6, a wrong operation
# by far more. Above _AGREEMENT the user is informed, above _LARGEST_DIFFERENCE the export fails.
_LARGEST_DIFFERENCE = 1e-4
_AGREEMENT = 1e-5
# Two sizes, to detect an export that works for one batch size alone.
_BATCH_SIZES = (1, 5)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns the model to export: a mixed-precision model's float32 copy, else the model itself.

    Raises:
        UserError: The model does not map one tensor to one tensor.
    """
    for ends in ("inputs", "outputs"):
        if len(getattr(model, ends, None) or ()) != 1:
            raise UserError(
                f"model: {type(model).__name__} can't be exported; expected a functional or "
                "Sequential model with one input and one output."
            )
    # The JSON form names the dtype policy of every layer, also of layers inside layers.
    text = model.to_json()
    copy_json = re.sub(r'"mixed_b?float16"', '"float32"', text)
    if copy_json == text:
        return model
    copy = keras.models.model_from_json(copy_json)
    copy.set_weights(model.get_weights())
    return copy


def describe_difference(
    saved: keras.Model,
    model: keras.Model,
    exported: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    has_float32_inputs: bool = False,
) -> str:
    """Compares an export's predictions with those of the saved model.

    Args:
        saved: The saved model, whose predictions `expt.predict` writes.
        model: The exported model: the saved model, or its float32 copy.
        exported: Runs the export on a batch of inputs.
        has_float32_inputs: Whether the export expects float32 where the model expects float64.

    Returns:
        The largest difference, and its causes, in one or more lines.

    Raises:
        RunError: The export fails to run, or its outputs differ from the model's.
    """
    difference = largest_difference(model, exported, has_float32_inputs=has_float32_inputs)
    lines = [f"largest relative difference from the run's predictions: {difference:.1e}"]
    if saved is not model:
        rounded = _differences(saved, lambda inputs: np.asarray(model(inputs, training=False)))
        lines = [
            f"largest relative difference from the run's model in float32: {difference:.1e}",
            f"the export computes in float32; the run's mixed-precision model rounds predictions, "
            f"with a relative difference of up to {rounded:.1e}",
        ]
    if difference > _AGREEMENT:
        lines.append(
            f"more than {_AGREEMENT:g}: the format rounds float32 differently from the model"
        )
    return "\n".join(lines)


def largest_difference(
    model: keras.Model,
    exported: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    has_float32_inputs: bool = False,
) -> float:
    """Compares an export's outputs with a model's, on batches of several sizes.

    Args:
        model: The exported model.
        exported: Runs the export on a batch of inputs.
        has_float32_inputs: Whether the export expects float32 where the model expects float64; both
            then get values that float32 represents exactly.

    Returns:
        The largest absolute difference, divided by the targets' standard deviation where the
        model has their scale, else by the largest absolute output.

    Raises:
        RunError: The export fails to run, or its outputs differ from the model's.
    """
    largest, accepted = _differences(model, exported, has_float32_inputs), _LARGEST_DIFFERENCE
    output_scale = get_scales(model)[1]
    # float32 cannot represent values around a mean that is large compared with the deviation.
    if has_float32_inputs and output_scale is not None:
        accepted += float(rounding_error(output_scale).max())
    if not largest <= accepted:  # true for NaN, too
        raise RunError(
            f"the export's outputs differ from the model's by {largest:.2g} of their scale; "
            f"{accepted:g} is accepted. The export was discarded."
        )
    return largest


def _differences(
    model: keras.Model,
    exported: Callable[[NDArray[Any]], NDArray[Any]],
    has_float32_inputs: bool = False,
) -> float:
    random = np.random.default_rng(0)
    differences = []
    input_scale, output_scale = get_scales(model)
    for size in _BATCH_SIZES:
        inputs = _draw_inputs(model, input_scale, size, random)
        if has_float32_inputs:
            inputs = inputs.astype(np.float32).astype(inputs.dtype)
        expected = np.asarray(model(inputs, training=False))
        try:
            outputs = exported(inputs)
        except Exception as error:  # the runtimes have no common class of errors
            raise RunError(f"the export fails on {size} inputs: {error}") from error
        if outputs.shape != expected.shape:
            raise RunError(
                f"the export's outputs have the shape {outputs.shape}, the model's "
                f"{expected.shape}. The export was discarded."
            )
        # Outputs that are all 0 have no scale of their own.
        scale = output_scale.deviation if output_scale else np.abs(expected).max() or 1.0
        differences.append(float((np.abs(outputs - expected) / scale).max()))
    return float(np.max(differences))


def _draw_inputs(
    model: keras.Model, input_scale: Scale | None, size: int, random: np.random.Generator
) -> NDArray[Any]:
    """Draws inputs with the training data's mean and std if the model has them, else from 0..1."""
    (given,) = model.inputs
    shape = (size, *given.shape[1:])
    inputs = random.uniform(size=shape)
    if input_scale is not None:
        inputs = input_scale.mean + input_scale.deviation * random.normal(size=shape)
    return inputs.astype(given.dtype)
