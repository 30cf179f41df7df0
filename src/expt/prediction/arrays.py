"""Arrays as inputs of a prediction."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError, hint
from expt.parts.data.image_decoding import EXTENSIONS
from expt.parts.data.mapped import summarize, to_inputs
from expt.parts.data.preparation import BYTES, ArrayPreparation
from expt.parts.data.reading import UNREADABLE, read_npz, told_of

ARRAYS = (".npy", ".npz")


def read_array(
    path: Path, shape: tuple[int, ...], preparation: Mapping[str, Any]
) -> NDArray[np.floating[Any]]:
    """Reads the inputs of an array file.

    Args:
        path: A `.npy`, or an `.npz` with one array, or with one that is called x.
        shape: Of one input of the model.
        preparation: How the run's training prepared its inputs.

    Returns:
        Shape [examples, ...].

    Raises:
        UserError: The file is damaged, holds no numbers, or values whose meaning is not certain.
    """
    values = _raw(path)
    if values.dtype.kind not in "buif":
        raise UserError(f"{path} has the type {values.dtype}; expected numbers.")
    if values.ndim == 0 or values.size == 0:
        raise UserError(f"{path} has the shape {values.shape}; expected at least one input.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(f"{path} has values that are NaN or infinite.")
    if (*values.shape[1:], 1) == shape:  # images without an axis of channels
        values = values[..., None]
    has_images, known = len(shape) > 1, _known(preparation)
    if known is not None:
        with told_of(f"{path}: "):
            return to_inputs(values, known.divisor_for(summarize(values), has_images=has_images))
    if has_images and values.dtype.kind != "f":
        raise UserError(
            f"{path} has the type {values.dtype}, and the run has no record of what such numbers "
            "are to its model; expected floats, as the model takes them."
        )
    return to_inputs(values, 1.0)


def _known(preparation: Mapping[str, Any]) -> ArrayPreparation | None:
    """Returns how the training prepared arrays, if that is recorded.

    It is not for a table, whose encoding is of columns with names; for runs of a source of the
    user's own; and for runs of an earlier version.
    """
    kind = preparation.get("kind")
    if kind == "array":
        return ArrayPreparation.from_mapping(preparation)
    return BYTES if kind == "image" else None


def _raw(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".npz":
        return next(iter(read_npz(path, _inputs_of).values()))
    if path.suffix.lower() == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"{path} can't be read as an array: {error}") from error
        if isinstance(values, np.ndarray):
            return values
        raise UserError(f"{path} can't be read as an array: it is an .npz.")
    raise UserError(
        f"{path}: expected .npy, .npz, .csv, an image ({', '.join(EXTENSIONS)}) or a folder of "
        "images."
    )


def _inputs_of(names: Any) -> list[str]:
    """Chooses the array x, or the only one that there is."""
    if "x" in names or len(names) == 1:
        return ["x"] if "x" in names else list(names)
    raise UserError(
        f"the .npz has {len(names)} arrays and none is called x, so that the inputs are not "
        f"certain; save them as x. {hint('x', names)}"
    )
