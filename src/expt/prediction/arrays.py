"""Array files as inputs of a prediction."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError, hint
from expt.parts.data.image_decoding import EXTENSIONS
from expt.parts.data.reading import UNREADABLE, error_context, read_npz
from expt.serving.arrays import prepare

ARRAYS = (".npy", ".npz")
"""Extensions of array files."""


def read_array(
    path: Path, shape: tuple[int, ...], preparation: Mapping[str, Any]
) -> NDArray[np.floating[Any]]:
    """Reads the inputs of an array file.

    Args:
        path: A `.npy`, or an `.npz` with a single array or with one named x.
        shape: Shape of one input of the model.
        preparation: The preparation of the run's training inputs, as recorded in run.json.

    Returns:
        Inputs as the model expects them, shape [examples, …].

    Raises:
        UserError: The file is damaged or holds no numbers, or the meaning of its values is
            ambiguous.
    """
    values = _raw(path)
    with error_context(f"{path}: "):
        return prepare(values, shape, preparation)


def _raw(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".npz":
        return next(iter(read_npz(path, _inputs_of).values()))
    if path.suffix.lower() == ".npy":
        try:
            # Without pickle: a file from elsewhere must not run code.
            values = np.load(path, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"{path} can't be read as an array: {error}") from error
        # np.load goes by content: an .npz named .npy returns a mapping.
        if isinstance(values, np.ndarray):
            return values
        raise UserError(f"{path} can't be read as an array: it is an .npz.")
    raise UserError(
        f"{path}: expected .npy, .npz, .csv, an image ({', '.join(EXTENSIONS)}) or a folder of "
        "images."
    )


def _inputs_of(names: Any) -> list[str]:
    """Returns the name of the array x, or of the only array."""
    if "x" in names or len(names) == 1:
        return ["x"] if "x" in names else list(names)
    raise UserError(
        f"the .npz has {len(names)} arrays and none is called x, so it is ambiguous which holds "
        f"the inputs; save them as x. {hint('x', names)}"
    )
