"""Conversion of raw arrays and DataFrames to a model's inputs, as in training."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.names import join_names
from expt.parts.data.preparation import BYTES, ArrayPreparation, summarize, to_inputs

if TYPE_CHECKING:
    import pandas as pd


def prepare(
    values: NDArray[Any], shape: tuple[int, ...], preparation: Mapping[str, Any]
) -> NDArray[np.floating[Any]]:
    """Converts raw values to inputs of a model.

    Args:
        values: Numbers of any type, shape [examples, …]; images may lack the channels axis.
        shape: Shape of one input of the model.
        preparation: The preparation of the run's training inputs, as recorded in run.json.

    Returns:
        Inputs, shape [examples, …]; the caller compares it with the model's.

    Raises:
        UserError: The values are not numbers or not finite, or their meaning is ambiguous.
    """
    if values.dtype.kind not in "buif":
        raise UserError(f"its inputs have the type {values.dtype}; expected numbers.")
    if values.ndim == 0 or values.size == 0:
        raise UserError(f"its inputs have the shape {values.shape}; expected at least one input.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError("its inputs have values that are NaN or infinite.")
    if (*values.shape[1:], 1) == shape:  # images without an axis of channels
        values = values[..., None]
    has_images, known = len(shape) > 1, _known(preparation)
    if known is not None:
        return to_inputs(values, known.divisor_for(summarize(values), has_images=has_images))
    if has_images and values.dtype.kind != "f":
        raise UserError(
            f"its inputs have the type {values.dtype}, and the run has no record of how such "
            "numbers are scaled; expected floats, scaled as in training."
        )
    return to_inputs(values, 1.0)


def preparation_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the recorded preparation of a run's inputs, empty if there is none.

    Args:
        record: The contents of run.json.
    """
    data = record["data"]
    # The inputs of a generator are random vectors, to which the data's preparation does not apply.
    if record["model_input_shape"] != data.get("input_shape", record["model_input_shape"]):
        return {}
    return data.get("preparation") or {}


def _known(preparation: Mapping[str, Any]) -> ArrayPreparation | None:
    """Returns the preparation of arrays, or None if none is recorded.

    There is none for tables, whose columns are encoded by name; for custom data sources; and for
    runs of previous versions.
    """
    kind = preparation.get("kind")
    if kind == "array":
        return ArrayPreparation.from_mapping(preparation)
    return BYTES if kind == "image" else None


def from_frame(frame: "pd.DataFrame", names: Sequence[str]) -> NDArray[Any]:
    """Returns the columns of a DataFrame as an array of shape [rows, features].

    Args:
        frame: The DataFrame; its columns may be in any order if the features have names.
        names: Feature names, in the order of the model's inputs; empty if they have none.

    Raises:
        UserError: Columns are missing, or it is ambiguous which feature they are.
    """
    given = list(frame.columns)
    if names and set(names) <= set(given):
        return np.asarray(frame[list(names)])
    if any(isinstance(name, str) for name in given):
        found = join_names([repr(name) for name in given])
        if names:
            expected = join_names([repr(name) for name in names])
            raise UserError(
                f"the columns {found} are not the features, which are {expected}; expected columns "
                "of these names, in any order."
            )
        # Names that are numbers are the first row of a file that was read as if it had a header;
        # pandas' own default names 0, 1, … are not.
        if all(map(_is_number, given)) and given != [str(n) for n in range(len(given))]:
            raise UserError(
                f"the columns are called {found}, which look like values; expected a header in the "
                "first line of a CSV file."
            )
    return np.asarray(frame)


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
