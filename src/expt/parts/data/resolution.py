"""Checks that float32 can resolve values that are not standardized."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.scale import Scale

_MOST_LOST = 0.01  # of the standard deviation
_EXAMPLES_AT_ONCE = 4096
_MOST_NAMED = 5


def check_resolution(dataset: Dataset, which: Literal["inputs", "targets"]) -> None:
    """Checks that rounding to float32 preserves the spread of each feature or target.

    Milliseconds since 1970, for example, are rounded to multiples of 131,072 by float32.

    Args:
        dataset: The data set, of which the train split is checked.
        which: The values to check.

    Raises:
        UserError: If rounding changes the spread; the message names the columns.
    """
    lost = np.flatnonzero(_lost(dataset.train, which))
    if not len(lost):
        return
    if which == "targets":
        what = "the target" if dataset.num_outputs == 1 else f"target {_list_names(dataset, lost)}"
        raise UserError(
            f"data={dataset.name}: {what} can't be learned in its own unit: rounding to float32 "
            "changes its spread by more than 1 %. Standardize targets with "
            "data.standardize_targets=true and a loss that accepts any value, or subtract a "
            "constant from them."
        )
    raise UserError(
        f"data={dataset.name}: the inputs {_list_names(dataset, lost)} can't be used as they are: "
        "rounding to float32 changes their spread by more than 1 %. Standardize them with "
        "data.standardize=true, or subtract a constant from them."
    )


def lost_in_float32(pieces: Iterator[NDArray[Any]], scale: Scale) -> NDArray[np.bool_]:
    """Returns a mask of the features that float32 changes by over 1 % of their std.

    A constant feature has no spread to lose; it counts only if it becomes infinite.

    Args:
        pieces: The values in pieces of shape [examples, ..., features].
        scale: The mean and standard deviation of all these values.

    Returns:
        A mask of shape [features].
    """
    most, varies = np.zeros(len(scale.mean)), np.zeros(len(scale.mean), np.bool_)
    for piece in pieces:
        flat = piece.reshape(-1, piece.shape[-1])
        with np.errstate(over="ignore", invalid="ignore"):
            errors = np.abs(flat.astype(np.float32) - flat)
        most = np.maximum(most, errors.max(axis=0))
        varies |= (flat != scale.mean).any(axis=0)
    # Negated, so that a NaN (from inf - inf) counts as lost.
    lost: NDArray[np.bool_] = np.where(
        varies, ~(most <= _MOST_LOST * scale.deviation), ~np.isfinite(most)
    )
    return lost


def _lost(split: Split, which: Literal["inputs", "targets"]) -> NDArray[np.bool_]:
    starts = range(0, len(split), _EXAMPLES_AT_ONCE)
    if which == "targets":
        values = split.targets
        return lost_in_float32(iter((values,)), Scale.fit(values))
    # Sources choose float64 exactly where float32 would round.
    if split.dtype != np.float64:
        return np.zeros(split.inputs.shape[-1], np.bool_)

    def pieces() -> Iterator[NDArray[Any]]:
        return (split.read(np.arange(i, min(i + _EXAMPLES_AT_ONCE, len(split)))) for i in starts)

    return lost_in_float32(pieces(), Scale.fit_chunks(pieces))


def _list_names(dataset: Dataset, indices: NDArray[np.intp]) -> str:
    names = dataset.feature_names
    shown = [repr(names[i]) if names else f"number {i + 1}" for i in indices[:_MOST_NAMED]]
    more = len(indices) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
