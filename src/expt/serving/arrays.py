"""Raw arrays as the inputs that training made of the same values."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.names import listed
from expt.parts.data.preparation import BYTES, ArrayPreparation, summarize, to_inputs

if TYPE_CHECKING:
    import pandas as pd


def prepare(
    values: NDArray[Any], shape: tuple[int, ...], preparation: Mapping[str, Any]
) -> NDArray[np.floating[Any]]:
    """Returns raw values as inputs of a model.

    Args:
        values: Shape [examples, ...]; numbers of any type. Images may lack an axis of channels.
        shape: Of one input of the model.
        preparation: How the run's training prepared its inputs.

    Raises:
        UserError: They are no numbers, not finite, or values whose meaning is not certain.
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
            f"its inputs have the type {values.dtype}, and the run has no record of what such "
            "numbers are to its model; expected floats, as the model takes them."
        )
    return to_inputs(values, 1.0)


def preparation_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns how a run's training prepared what its model takes; empty if that is not recorded.

    A generator takes random vectors, which the data's preparation is not for.
    """
    data = record["data"]
    if record["model_input_shape"] != data.get("input_shape", record["model_input_shape"]):
        return {}
    return data.get("preparation") or {}


def _known(preparation: Mapping[str, Any]) -> ArrayPreparation | None:
    """Returns how the training prepared arrays, if that is recorded.

    It is not for a table, whose encoding is of columns with names; for runs of a source of the
    user's own; and for runs of an earlier version.
    """
    kind = preparation.get("kind")
    if kind == "array":
        return ArrayPreparation.from_mapping(preparation)
    return BYTES if kind == "image" else None


def from_frame(frame: "pd.DataFrame", names: Sequence[str]) -> NDArray[Any]:
    """Returns the columns of a DataFrame as an array, shape [rows, features].

    Args:
        frame: Its columns may be in any order if the features have names.
        names: The features' names, in the order of the model's inputs; empty if they have none.

    Raises:
        UserError: Columns are missing, or it is not certain which feature they are.
    """
    given = list(frame.columns)
    if names and set(names) <= set(given):
        return np.asarray(frame[list(names)])
    if any(isinstance(name, str) for name in given):
        if names:
            raise UserError(
                f"the columns {listed([repr(name) for name in given])} are not the features, which "
                f"are {listed([repr(name) for name in names])}; expected columns of these names, "
                "in any order."
            )
        if all(map(_is_number, given)) and given != [str(n) for n in range(len(given))]:
            raise UserError(
                f"the columns are called {listed([repr(name) for name in given])}, as values are; "
                "expected a header in the first line of a CSV file."
            )
    return np.asarray(frame)


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
