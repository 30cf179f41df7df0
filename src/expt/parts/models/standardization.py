"""The layers that standardise for a model, so that a saved one takes and gives plain values."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.scale import Scale
from expt.parts.models.links import link_of, with_link, without_link

_CENTRED, _STANDARDISED, _UNSTANDARDISED = "centred", "standardised", "unstandardised"
# Of a standard deviation: how far float32 may round a value that is as far from the mean.
_MOST_ROUNDED = 1e-3


def standardized(
    network: keras.Model, of_inputs: Scale | None, of_outputs: Scale | None, dtype: str = "float64"
) -> keras.Model:
    """Puts a network between standardised inputs and outputs in the targets' own unit.

    The layers compute in float64, as (x - mean) * (1 / deviation) in two steps, so that nothing is
    lost of a small spread around a large mean. `keras.layers.Normalization` would take deviations
    below 1e-7 for 1e-7, and squares those of any size.

    Args:
        network: Takes standardised inputs and gives standardised outputs.
        of_inputs: Mean and deviation of each feature; None passes inputs through.
        of_outputs: Mean and deviation of each target; None passes outputs through.
        dtype: `float64`, or `float32` where a runtime lacks it.
    """
    if of_inputs is None and of_outputs is None:
        return network
    inputs = keras.Input(
        network.input_shape[1:], name="inputs", dtype=None if of_inputs is None else dtype
    )
    hidden = inputs
    if of_inputs is not None:
        mean = of_inputs.mean.astype(dtype)  # in float32, what is rounded off comes later
        hidden = _rescaling(1.0, -mean, _CENTRED, dtype)(hidden)
        rest = (mean - of_inputs.mean) / of_inputs.deviation
        hidden = _rescaling(1 / of_inputs.deviation, rest, _STANDARDISED, dtype)(hidden)
    outputs = network(hidden)
    if of_outputs is not None:
        outputs = _rescaling(of_outputs.deviation, of_outputs.mean, _UNSTANDARDISED, dtype)(outputs)
    return keras.Model(inputs, outputs, name=f"standardised_{network.name}")


def scales_of(model: keras.Model) -> tuple[Scale | None, Scale | None]:
    """Returns the scales of inputs and outputs that `standardized` was given for a model."""
    layers = {layer.name: layer for layer in without_link(model).layers}
    of_inputs = of_outputs = None
    if _CENTRED in layers and _STANDARDISED in layers:
        mean, inverse = -layers[_CENTRED].offset, layers[_STANDARDISED].scale
        of_inputs = Scale(np.asarray(mean), 1 / np.asarray(inverse))
    if (last := layers.get(_UNSTANDARDISED)) is not None:
        of_outputs = Scale(np.asarray(last.offset), np.asarray(last.scale))
    return of_inputs, of_outputs


def in_single_precision(model: keras.Model) -> keras.Model:
    """Returns a model whose standardising layers compute in float32, with the same weights.

    Raises:
        UserError: float32 can't hold the differences between values of a feature or target.
    """
    of_inputs, of_outputs = scales_of(model)
    for what, scale in (("input", of_inputs), ("output", of_outputs)):
        if scale is not None:
            _check_single_precision(what, scale)
    if of_inputs is None and of_outputs is None:
        return model
    layers = without_link(model).layers
    (network,) = (layer for layer in layers if isinstance(layer, keras.Model))
    return with_link(standardized(network, of_inputs, of_outputs, "float32"), link_of(model))


def rounding(scale: Scale) -> NDArray[np.float64]:
    """Returns how far float32 rounds values at the mean, of each one's standard deviation."""
    rounded: NDArray[np.float64] = (
        np.finfo(np.float32).eps / 2 * np.abs(scale.mean) / scale.deviation
    )
    return rounded


def _check_single_precision(what: str, scale: Scale) -> None:
    with np.errstate(over="ignore", divide="ignore"):
        ends = [scale.deviation.astype(np.float32), (1 / scale.deviation).astype(np.float32)]
    lost = ~(rounding(scale) <= _MOST_ROUNDED) | ~np.isfinite(ends).all(axis=0)
    if lost.any():
        first = int(np.flatnonzero(lost)[0])
        raise UserError(
            f"{what} number {first + 1} has the mean {scale.mean[first]:g} and the standard "
            f"deviation {scale.deviation[first]:g}: float32, in which this format computes, can't "
            "hold its differences. The formats saved_model and onnx take float64."
        )


def _rescaling(scale: Any, offset: Any, name: str, dtype: str) -> keras.layers.Layer:
    # Arrays, since Keras would round lists to float32.
    return keras.layers.Rescaling(scale, offset, name=name, dtype=dtype)
