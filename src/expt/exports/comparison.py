"""Whether an export gives the predictions of the saved model, in their unit."""

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError, UserError
from expt.parts.data.scale import Scale
from expt.parts.models.standardization import rounding, scales_of

# Of the predictions' scale. Sums in another order differ by some 1e-6; a wrong operation by far
# more.
_LARGEST_DIFFERENCE = 1e-4
_AGREEMENT = 1e-5
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


def describe_difference(
    saved: keras.Model,
    model: keras.Model,
    exported: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    takes_float32: bool = False,
) -> str:
    """Compares an export's predictions with those of the saved model, and says how they differ.

    Args:
        saved: The saved model, which predicts.
        model: What was exported: the saved model, or its copy in float32.
        exported: Runs the export.
        takes_float32: Whether the export takes float32 where the model takes float64.

    Raises:
        RunError: The export can't be run, or its outputs are not the model's.
    """
    difference = largest_difference(model, exported, takes_float32=takes_float32)
    lines = [f"largest difference from the run's predictions: {difference:.1e} of their scale"]
    if saved is not model:
        rounded = _differences(saved, lambda inputs: np.asarray(model(inputs, training=False)))
        lines = [
            f"largest difference from the run's model in float32: {difference:.1e} of the "
            "predictions' scale",
            f"it computes in float32; predictions of the run's model, of mixed precision, are "
            f"rounded by up to {rounded:.1e} of their scale",
        ]
    if difference > _AGREEMENT:
        lines.append(f"more than {_AGREEMENT:g}: the format's float32 rounds other than the model")
    return "\n".join(lines)


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
    largest, accepted = _differences(model, exported, takes_float32), _LARGEST_DIFFERENCE
    of_outputs = scales_of(model)[1]
    if takes_float32 and of_outputs is not None:  # float32 has fewer digits than a large mean needs
        accepted += float(rounding(of_outputs).max())
    if not largest <= accepted:  # nor if it is not a number
        raise RunError(
            f"the export's outputs differ from the model's by {largest:.2g} of their scale; "
            f"{accepted:g} is accepted. It is not kept."
        )
    return largest


def _differences(
    model: keras.Model,
    exported: Callable[[NDArray[Any]], NDArray[Any]],
    takes_float32: bool = False,
) -> float:
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
    return float(np.max(differences))


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
