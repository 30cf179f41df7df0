"""A model's outputs as named columns."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ABOUT = ("file", "line")
"""Columns of a file of predictions that say which input each of them is for."""


def as_columns(
    data: Mapping[str, Any], kind: str, outputs: NDArray[np.floating[Any]]
) -> dict[str, NDArray[Any]]:
    """Names the columns of predictions: a class and a number for each class, or values.

    Args:
        data: What run.json records of the run's data.
        kind: Whether the numbers are a `probability` or a `score` of each class.
        outputs: The predictions, shape [examples, …].
    """
    if data["task"] == "classification":
        names = np.asarray(data["class_names"])
        columns: dict[str, NDArray[Any]] = {label_column(data, kind): names[outputs.argmax(axis=1)]}
        return columns | {f"{kind} {n}": p for n, p in zip(names, outputs.T, strict=True)}
    flat = outputs.reshape(len(outputs), math.prod(outputs.shape[1:]))
    return dict(zip(_value_names(data, flat.shape[1]), flat.T, strict=True))


def label_column(data: Mapping[str, Any], kind: str) -> str:
    """Returns the name of the column of predicted classes: that of the table's target.

    It is `class` where the target has no name, or one that another column has.
    """
    target = _target(data)
    numbers = [f"{kind} {name}" for name in data["class_names"]]
    return "class" if target is None or target in (*ABOUT, *numbers) else target


def _value_names(data: Mapping[str, Any], count: int) -> list[str]:
    """Returns the names of values: of the target, or of the features that are reconstructed."""
    target = _target(data)
    names = list(data.get("feature_names") or ())
    if data["task"] == "regression":
        names = [] if target is None else [target]
    if len(names) != count or len({*names, *ABOUT}) != count + len(ABOUT):
        return [f"value {number}" for number in range(count)]
    return names


def _target(data: Mapping[str, Any]) -> str | None:
    """Returns the name of a table's target; runs of older versions have none recorded."""
    return (data.get("other_columns") or {}).get("target")
