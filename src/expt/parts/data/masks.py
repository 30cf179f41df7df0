"""Examples of weight 0: they are left out, whatever their values."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def counted_indices(weights: NDArray[np.float32] | None, indices: Indices) -> Indices:
    """Returns the indices of the examples that have a weight above 0, or all if none has."""
    if weights is None:
        return indices
    is_counted = weights[indices] > 0
    return indices[is_counted] if is_counted.any() else indices


def masked_notes(counted: Iterable[int], whole: int) -> tuple[str, ...]:
    """Says how many examples are left out for their weight, if any.

    Args:
        counted: How many examples each split has without them.
        whole: How many there are in all.
    """
    left_out = whole - sum(counted)
    if not left_out:
        return ()
    return (
        f"{left_out:,} of {whole:,} examples have the weight 0 and are left out of training and "
        "evaluation.",
    )
