"""A model's outputs as named columns."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_columns(
    data: Mapping[str, Any], kind: str, outputs: NDArray[np.floating[Any]]
) -> dict[str, NDArray[Any]]:
    """Names what each prediction says: a class and a number for each class, or values.

    Args:
        data: What run.json records of the run's data.
        kind: Whether the numbers are a `probability` or a `score` of each class.
        outputs: The predictions, shape [examples, …].
    """
    if data["task"] == "classification":
        names = np.asarray(data["class_names"])
        columns: dict[str, NDArray[Any]] = {"class": names[outputs.argmax(axis=1)]}
        return columns | {f"{kind} {n}": p for n, p in zip(names, outputs.T, strict=True)}
    flat = outputs.reshape(len(outputs), math.prod(outputs.shape[1:]))
    return {f"value {number}": column for number, column in enumerate(flat.T)}
