"""Tables as inputs of a prediction."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.encoding import Encoder
from expt.runs.find import FoundRun


def read_table_inputs(run: FoundRun, path: Path) -> NDArray[np.floating[Any]]:
    """Reads the inputs of a CSV file, shape [rows, features].

    Raises:
        UserError: The run was not trained on a table, or the file is no such table.
    """
    preparation = run.record["data"].get("preparation") or {}
    if preparation.get("kind") != "table":
        raise UserError(
            f"{path}: {run.directory.name} was not trained on a table; expected .npy or .npz."
        )
    return Encoder.from_mapping(preparation).read(path)
