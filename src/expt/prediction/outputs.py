"""The predictions as a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.config.outputs import ModelOutputs
from expt.errors import UserError

FORMATS = (".csv", ".npz", ".npy")
_MOST_NAMED = 8
_KINDS = {"probability": "probabilities", "score": "scores, not probabilities,"}


def check_outputs(path: Path) -> None:
    """Checks that a file for the predictions can be made.

    Raises:
        UserError: It exists, its ending is unknown, or its folder is missing.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: expected a file that ends in {', '.join(FORMATS)}.")
    if path.exists():
        raise UserError(f"{path} exists already; choose another name, nothing is written over.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.absolute().parent}.")


def describe_outputs(data: Mapping[str, Any], given: ModelOutputs) -> str:
    """Says what a run's model gives, from what run.json records of its data."""
    names = data["class_names"]
    if data["task"] == "classification":
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        return f"{_KINDS[given.kind]} of the classes {', '.join(names[:_MOST_NAMED])}{more}"
    if data["task"] == "regression":
        return "values in the unit of the targets"
    return "values in the unit of the training's inputs"


def write(
    path: Path,
    about: Mapping[str, Sequence[Any]],
    table: Mapping[str, NDArray[Any]],
    outputs: NDArray[Any],
) -> None:
    """Writes predictions atomically.

    Args:
        path: Its ending says in which format.
        about: Columns that say which input each prediction is for, such as `file`; may be empty.
        table: The predictions as columns.
        outputs: The predictions as one array.
    """
    partial = path.with_name(f"partial-{path.name}")
    if path.suffix == ".csv":
        import pandas as pd

        pd.DataFrame({**about, **table}).to_csv(partial, index=False)
    elif path.suffix == ".npy":
        np.save(partial, outputs)
    else:
        arrays: dict[str, Any] = {"predictions": outputs}
        if "class" in table:
            arrays["classes"] = table["class"]
        arrays |= {f"{name}s": np.asarray(values) for name, values in about.items()}
        np.savez(partial, **arrays)
    partial.replace(path)
