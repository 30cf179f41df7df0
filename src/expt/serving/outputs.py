"""Names of the columns of predictions."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT_COLUMNS = ("file", "line")
"""Columns of a file of predictions that identify the input of each prediction."""


def as_columns(
    data: Mapping[str, Any], kind: str, outputs: NDArray[np.floating[Any]]
) -> dict[str, NDArray[Any]]:
    """Returns predictions as named columns: a class and a number per class, or values.

    Args:
        data: The record of the run's data in run.json.
        kind: Meaning of the numbers per class: `probability` or `score`.
        outputs: Predictions, shape [examples, …].

    Returns:
        Arrays of shape [examples] by column name.
    """
    if data["task"] == "classification":
        names = np.asarray(data["class_names"])
        columns: dict[str, NDArray[Any]] = {label_column(data, kind): names[outputs.argmax(axis=1)]}
        return columns | {f"{kind} {n}": p for n, p in zip(names, outputs.T, strict=True)}
    flat = outputs.reshape(len(outputs), math.prod(outputs.shape[1:]))
    return dict(zip(_value_names(data, flat.shape[1]), flat.T, strict=True))


def label_column(data: Mapping[str, Any], kind: str) -> str:
    """Returns the name of the column of predicted classes.

    It is the name of the table's target, or `class` if the target has no name or shares it with
    another column.

    Args:
        data: The record of the run's data in run.json.
        kind: Meaning of the numbers per class: `probability` or `score`.
    """
    target = _target(data)
    numbers = [f"{kind} {name}" for name in data["class_names"]]
    return "class" if target is None or target in (*INPUT_COLUMNS, *numbers) else target


def _value_names(data: Mapping[str, Any], count: int) -> list[str]:
    """Returns the names of the value columns: the target, or the reconstructed features."""
    target = _target(data)
    names = list(data.get("feature_names") or ())
    if data["task"] == "regression":
        names = [] if target is None else [target]
    # Numbers, where names are missing, repeated, or equal to those of other columns.
    if len(names) != count or len({*names, *INPUT_COLUMNS}) != count + len(INPUT_COLUMNS):
        return [f"value {number}" for number in range(count)]
    return names


def _target(data: Mapping[str, Any]) -> str | None:
    """Returns the name of a table's target, or None; previous versions did not record it."""
    return (data.get("other_columns") or {}).get("target")
