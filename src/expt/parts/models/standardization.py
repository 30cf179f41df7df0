"""Layers that standardize a model's inputs and undo the standardization of its outputs.

They are part of the model, so that a saved one maps raw values to values in the targets' unit.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.scale import Scale
from expt.parts.models.links import get_link, with_link, without_link

_CENTRED, _STANDARDISED, _UNSTANDARDISED = "centred", "standardised", "unstandardised"
# Largest rounding error of float32 that is accepted, as a fraction of the standard deviation.
_MAX_ROUNDING_ERROR = 1e-3


def with_standardization(
    network: keras.Model,
    input_scale: Scale | None,
    output_scale: Scale | None,
    dtype: str = "float64",
) -> keras.Model:
    """Returns a model that standardizes inputs for a network and restores the unit of its outputs.

    Inputs become (x - mean) · (1 / std), outputs y · std + mean.

    Args:
        network: Maps standardized inputs to standardized outputs.
        input_scale: Mean and standard deviation of each feature; None passes inputs through.
        output_scale: Mean and standard deviation of each target; None passes outputs through.
        dtype: Type in which the layers compute; `float32` for runtimes without float64.
    """
    # Not keras.layers.Normalization, which squares standard deviations and raises those below 1e-7
    # to 1e-7. Two steps in float64 lose nothing of a small spread around a large mean.
    if input_scale is None and output_scale is None:
        return network
    inputs = keras.Input(
        network.input_shape[1:], name="inputs", dtype=None if input_scale is None else dtype
    )
    hidden = inputs
    if input_scale is not None:
        mean = input_scale.mean.astype(dtype)  # the next layer adds what float32 rounds off
        hidden = _rescaling(1.0, -mean, _CENTRED, dtype)(hidden)
        rest = (mean - input_scale.mean) / input_scale.deviation
        hidden = _rescaling(1 / input_scale.deviation, rest, _STANDARDISED, dtype)(hidden)
    outputs = network(hidden)
    if output_scale is not None:
        outputs = _rescaling(output_scale.deviation, output_scale.mean, _UNSTANDARDISED, dtype)(
            outputs
        )
    return keras.Model(inputs, outputs, name=f"standardised_{network.name}")


def get_scales(model: keras.Model) -> tuple[Scale | None, Scale | None]:
    """Returns the scales of a model's inputs and outputs, None where it does not standardize."""
    layers = {layer.name: layer for layer in without_link(model).layers}
    input_scale = output_scale = None
    if _CENTRED in layers and _STANDARDISED in layers:
        mean, inverse = -layers[_CENTRED].offset, layers[_STANDARDISED].scale
        input_scale = Scale(np.asarray(mean), 1 / np.asarray(inverse))
    if (last := layers.get(_UNSTANDARDISED)) is not None:
        output_scale = Scale(np.asarray(last.offset), np.asarray(last.scale))
    return input_scale, output_scale


def in_single_precision(model: keras.Model) -> keras.Model:
    """Returns a model whose standardizing layers compute in float32, with the same weights.

    Raises:
        UserError: float32 cannot represent the differences between values of a feature or target.
    """
    input_scale, output_scale = get_scales(model)
    for role, scale in (("input", input_scale), ("output", output_scale)):
        if scale is not None:
            _check_single_precision(role, scale)
    if input_scale is None and output_scale is None:
        return model
    layers = without_link(model).layers
    (network,) = (layer for layer in layers if isinstance(layer, keras.Model))
    return with_link(
        with_standardization(network, input_scale, output_scale, "float32"), get_link(model)
    )


def rounding_error(scale: Scale) -> NDArray[np.float64]:
    """Returns the rounding error of float32 at each mean, as a fraction of the std."""
    rounded: NDArray[np.float64] = (
        np.finfo(np.float32).eps / 2 * np.abs(scale.mean) / scale.deviation
    )
    return rounded


def _check_single_precision(role: str, scale: Scale) -> None:
    with np.errstate(over="ignore", divide="ignore"):
        ends = [scale.deviation.astype(np.float32), (1 / scale.deviation).astype(np.float32)]
    lost = ~(rounding_error(scale) <= _MAX_ROUNDING_ERROR) | ~np.isfinite(ends).all(axis=0)
    if lost.any():
        first = int(np.flatnonzero(lost)[0])
        raise UserError(
            f"{role} number {first + 1} has the mean {scale.mean[first]:g} and the standard "
            f"deviation {scale.deviation[first]:g}. This format computes in float32, which is too "
            "coarse for so small a spread. Export to saved_model or onnx, which support float64."
        )


def _rescaling(scale: Any, offset: Any, name: str, dtype: str) -> keras.layers.Layer:
    # Arrays, since Keras rounds lists to float32.
    return keras.layers.Rescaling(scale, offset, name=name, dtype=dtype)
