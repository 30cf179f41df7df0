"""Cutting data into train, validation and test splits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

_VALIDATION_FRACTION = 0.15
_TEST_FRACTION = 0.15


def split_indices(
    count: int, seed: int, stratify: NDArray[Any] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Returns the indices of the examples of each split: 70 % train, 15 % validation, 15 % test.

    Args:
        count: How many examples there are.
        seed: Of the choice; it is not the run's seed, so that runs with different seeds compare.
        stratify: Class numbers, shape [examples]: each split gets its share of each class.

    Raises:
        UserError: There are too few examples, in all or of a class.
    """
    from sklearn.model_selection import train_test_split

    if stratify is not None:
        classes, counts = np.unique(stratify, return_counts=True)
        if counts.min() < 5:  # with fewer, a class can miss from a split
            raise UserError(
                f"class {classes[counts.argmin()]} has {counts.min()} example(s); expected at "
                "least 5 of each class, for training, validation and test."
            )
    held_out = _VALIDATION_FRACTION + _TEST_FRACTION
    try:
        train, rest = train_test_split(
            np.arange(count), test_size=held_out, random_state=seed, stratify=stratify
        )
        validation, test = train_test_split(
            rest,
            test_size=_TEST_FRACTION / held_out,
            random_state=seed,
            stratify=None if stratify is None else stratify[rest],
        )
    except ValueError as error:
        raise UserError(f"{count} examples are too few to split: {error}") from error
    return train, validation, test
