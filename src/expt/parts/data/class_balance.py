"""Class weights that compensate for the class frequencies of a data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset


def balanced_weights(dataset: Dataset) -> list[float]:
    """Returns the balanced weight of each class in the train split: n / (k · n_class).

    n is the number of examples, k that of classes and n_class that of the class's examples, or
    their sums of weights if examples have weights. The formula is that of scikit-learn's
    `class_weight="balanced"`: each class contributes n / k in total.

    Raises:
        UserError: If the train split lacks a class.
    """
    train, names = dataset.train, dataset.class_names
    sums = np.bincount(train.targets, weights=train.weights, minlength=len(names))
    _check_present(sums, names, dataset.name)
    weights: list[float] = (sums.sum() / (len(names) * sums)).tolist()
    return weights


def _check_present(sums: NDArray[Any], names: Sequence[str], data: str) -> None:
    # A class can be absent where splits are given, or where the source lists more classes.
    absent = [names[number] for number in np.flatnonzero(sums == 0).tolist()]
    if absent:
        more = f" and of {len(absent) - 1} other classes" if len(absent) > 1 else ""
        raise UserError(
            f"loss.class_weights=balanced: the train split of data={data} has no example of class "
            f"{absent[0]}{more}, whose weight would be infinite. Expected an example of each "
            "class, or the weights themselves: loss.class_weights=[…]"
        )
