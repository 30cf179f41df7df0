"""Examples of weight 0, which are left out whatever their values.

The functions are in a separate module, since both sources and `Dataset` need them.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def nonzero_weight_indices(weights: NDArray[np.float32] | None, indices: Indices) -> Indices:
    """Returns those of `indices` whose example has a weight above 0, or all if none has.

    Args:
        weights: Weights of all examples, shape [examples]; None if all count the same.
        indices: Indices of examples, shape [indices].
    """
    if weights is None:
        return indices
    is_counted = weights[indices] > 0
    # A split of zero weights stays whole here: `Dataset` then raises an error that names the split.
    return indices[is_counted] if is_counted.any() else indices


def zero_weight_notes(counted: Iterable[int], whole: int) -> tuple[str, ...]:
    """Returns a note with the number of examples of weight 0; empty if there are none.

    Args:
        counted: The number of examples with a weight above 0 in each split.
        whole: The number of all examples.
    """
    left_out = whole - sum(counted)
    if not left_out:
        return ()
    return (
        f"{left_out:,} of {whole:,} examples have the weight 0 and are left out of training and "
        "evaluation.",
    )
