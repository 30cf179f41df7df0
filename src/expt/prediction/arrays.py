"""Arrays as inputs of a prediction."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.mapped import to_inputs
from expt.parts.data.reading import UNREADABLE, read_npz
from expt.prediction.images import IMAGES


def read_array(path: Path) -> NDArray[np.float32]:
    """Reads the inputs of an array file, shape [examples, ...].

    Raises:
        UserError: The file is damaged, or holds no numbers.
    """
    if path.suffix == ".npz":
        array = read_npz(path, lambda names: ["x"] if "x" in names else list(names)[:1])
        values = next(iter(array.values()), np.empty(0))
    elif path.suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"{path} can't be read as an array: {error}") from error
    else:
        raise UserError(
            f"{path}: expected .npy, .npz, .csv, an image ({', '.join(IMAGES)}) or a folder of "
            "images."
        )
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise UserError(f"{path} has the type {values.dtype}; expected numbers.")
    return to_inputs(values)
