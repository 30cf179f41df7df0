"""Files of predictions."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.config.outputs import ModelOutputs
from expt.errors import UserError
from expt.runs.atomic import replacing
from expt.runs.record_parts import DataRecord

FORMATS = (".csv", ".npz", ".npy")
"""Extensions of files of predictions."""

_MOST_NAMED = 10
_KINDS = {"probability": "probabilities", "score": "scores, not probabilities,"}


def check_outputs(path: Path, inputs: Path, *, force: bool = False) -> None:
    """Checks that a file of predictions can be written, before any work is done.

    Args:
        path: The file of predictions.
        inputs: The file of inputs, which is never overwritten.
        force: Whether an existing file may be overwritten.

    Raises:
        UserError: The file exists, its extension is unknown, or its folder is missing.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: expected a file that ends in {', '.join(FORMATS)}.")
    if path.is_dir():
        raise UserError(f"{path} is a folder; expected the name of a file.")
    # By inode, since links and other spellings name the same file.
    if path.exists() and inputs.exists() and path.samefile(inputs):
        raise UserError(
            f"{path} holds the inputs, which are not overwritten; choose another name for the "
            "predictions."
        )
    # lexists: a broken link is in the way, too.
    if os.path.lexists(path) and not force:
        raise UserError(
            f"{path} exists already. Choose another name, or overwrite the file with --force."
        )
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.absolute().parent}.")


def describe_outputs(data: DataRecord, given: ModelOutputs) -> str:
    """Describes the outputs of a run's model, from the record of its data in run.json."""
    names = data.class_names
    if data.task == "classification":
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return f"{_KINDS[given.kind]} of the classes {', '.join(names[:_MOST_NAMED])}{more}"
    if data.task == "regression":
        return "values in the unit of the targets"
    return "values in the unit of the training's inputs"


def write(
    path: Path,
    about: Mapping[str, Sequence[Any]],
    table: Mapping[str, NDArray[Any]],
    outputs: NDArray[Any],
    label: str | None,
) -> None:
    """Writes predictions atomically.

    Args:
        path: The file; its extension is the format.
        about: Columns that identify the input of each prediction, such as `file`; may be empty.
        table: The predictions by column, each of shape [examples].
        outputs: The predictions as one array, shape [examples, …].
        label: Name of the column of predicted classes; None for values.
    """
    with replacing(path) as partial:
        if path.suffix == ".csv":
            import pandas as pd  # not at the top: arrays do not need it

            pd.DataFrame({**about, **table}).to_csv(partial, index=False)
        elif path.suffix == ".npy":
            np.save(partial, outputs)
        else:
            arrays: dict[str, Any] = {"predictions": outputs}
            if label is not None:
                arrays["classes"] = table[label]
            arrays |= {f"{name}s": np.asarray(values) for name, values in about.items()}
            np.savez(partial, **arrays)
