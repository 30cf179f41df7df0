"""Checks of raw arrays: types, shapes and lengths of inputs, targets, weights and groups."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Split
from expt.parts.data.preparation import chunks


def check_arrays(raw: Mapping[str, Split], groups: NDArray[Any] | None) -> None:
    """Checks that raw arrays are finite and that their types, shapes and lengths match.

    Args:
        raw: The splits by the suffix of their arrays, "" or "_train", "_val" and "_test".
        groups: The group of each example, shape [examples]; None if not given.

    Raises:
        UserError: If a check fails; the message names the array.
    """
    # Before any conversion, so that messages show the user's own types and shapes.
    if groups is not None and groups.shape != (len(raw[""]),):
        raise UserError(
            f"groups has the shape {groups.shape}; expected one number or text for each of the "
            f"{len(raw[''])} examples."
        )
    if groups is not None and (number := int(_is_missing(groups).sum())):
        raise UserError(
            f"groups has {number} missing value(s), which would form one group; give each example "
            "without a group a separate one."
        )
    for part, split in raw.items():
        inputs, targets, weights = arrays_of(split)
        for name, array in (
            (f"x{part}", inputs),
            (f"y{part}", targets),
            (f"weights{part}", weights),
        ):
            if array is not None:
                _check_array(name, array)
        if inputs.ndim < 2:
            raise UserError(
                f"x{part} has the shape {inputs.shape}; expected (examples, features) or more "
                "dimensions. A single feature is x.reshape(-1, 1)."
            )
        if weights is not None and (weights.ndim != 1 or weights.min() < 0):
            raise UserError(
                f"weights{part} has the shape {weights.shape} and values from {weights.min()} on; "
                "expected the shape (examples,) and values of at least 0."
            )
        lengths = {len(array) for array in (inputs, targets, weights) if array is not None}
        if len(lengths) > 1:
            weighed = "" if weights is None else f", weights{part} {len(weights)}"
            raise UserError(
                f"x{part} has {len(inputs)} examples, y{part} {len(targets)}{weighed}; expected "
                "the same number."
            )


def _is_missing(groups: NDArray[Any]) -> NDArray[np.bool_]:
    """Returns a mask of the groups that are NaN, NaT or empty texts, shape [examples]."""
    if groups.dtype.kind in "US":
        return np.asarray(groups == groups.dtype.type(), np.bool_)
    # NaN and NaT differ from themselves; np.isnan fails for other types.
    return np.asarray(groups != groups, np.bool_)


def _check_array(name: str, array: NDArray[Any]) -> None:
    # Checked first: the other checks compute with the values.
    if array.dtype.kind not in "buif":
        advice = ""
        if name.startswith("y") and array.dtype.kind in "US":
            advice = " numpy.unique(y, return_inverse=True) converts class names to labels."
        raise UserError(f"{name} has the type {array.dtype}; expected numbers.{advice}")
    if array.ndim == 0 or array.size == 0:
        raise UserError(f"{name} has the shape {array.shape}; expected at least one example.")
    if array.dtype.kind == "f":
        bad = 0
        for chunk in chunks(array.shape, len(array)):
            bad += int(np.sum(~np.isfinite(array[chunk])))
        if bad:
            raise UserError(f"{name} has {bad} value(s) that are NaN or ∞.")
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        _check_whole_numbers(name, array)


def _check_whole_numbers(name: str, array: NDArray[Any]) -> None:
    """Refuses whole numbers beyond 2^53 whose differences are lost in float64."""
    if name.startswith("weights") or len(array) < 2:
        return
    for chunk in chunks(array.shape, len(array)):
        piece = array[chunk]
        # The first difference is computed in integers, exactly, the second from float64.
        relative = (piece - piece.min()).astype(np.float64)
        rounded = piece.astype(np.float64) - float(piece.min())
        if np.abs(rounded - relative).max() > 0.01 * (relative.std() or np.inf):
            raise UserError(
                f"{name} has whole numbers up to {piece.max()}, whose differences are lost in "
                f"float64; subtract a constant: {name} - {name}.min()."
            )


def arrays_of(split: Split) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Returns inputs, targets and weights of a split in memory, or memory-mapped."""
    # Raw splits hold arrays; streams are made of them only after the checks.
    assert isinstance(split.inputs, np.ndarray)
    return split.inputs, split.targets, split.weights


def is_column(targets: NDArray[Any]) -> bool:
    """Whether targets are one number per example: shape [examples] or [examples, 1]."""
    return targets.ndim == 1 or (targets.ndim == 2 and targets.shape[1] == 1)


def to_labels(targets: NDArray[Any], part: str) -> NDArray[Any]:
    """Converts targets to labels, shape [examples].

    Args:
        targets: Whole numbers or booleans, shape [examples] or [examples, 1].
        part: The suffix of the array's name, for messages.

    Raises:
        UserError: If the targets have another type or shape, or are negative.
    """
    if targets.dtype.kind == "f" or not is_column(targets):
        raise UserError(
            f"y{part} has the type {targets.dtype} and the shape {targets.shape}; classification "
            "expects whole numbers of shape (examples,): y.astype(int), or y.argmax(axis=1) for "
            "one-hot targets."
        )
    labels = targets.reshape(-1).astype(np.uint8 if targets.dtype.kind == "b" else targets.dtype)
    if labels.min() < 0:
        raise UserError(f"y{part} has the label {labels.min()}; expected labels from 0 on.")
    return labels


def to_values(targets: NDArray[Any], part: str) -> NDArray[np.float64]:
    """Converts targets to values, float64 of shape [examples, values].

    Args:
        targets: Numbers, shape [examples] or [examples, values].
        part: The suffix of the array's name, for messages.

    Raises:
        UserError: If the targets have more than two dimensions.
    """
    if targets.ndim > 2:
        raise UserError(
            f"y{part} has the shape {targets.shape}; regression expects (examples,) or (examples, "
            "values)."
        )
    return targets.astype(np.float64).reshape(len(targets), -1)
