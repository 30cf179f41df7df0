"""Weights that make the classes of a split count alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset


def balanced_weights(dataset: Dataset) -> list[float]:
    """Returns the weight of each class by its share of the train split: n / (k · n_class).

    As `class_weight="balanced"` of scikit-learn: of k classes with n examples in all, each counts
    n / k then. Where examples have weights, n and n_class are sums of these.

    Raises:
        UserError: A class has no example in the train split.
    """
    train, names = dataset.train, dataset.class_names
    sums = np.bincount(train.targets, weights=train.weights, minlength=len(names))
    _check_present(sums, names, dataset.name)
    weights: list[float] = (sums.sum() / (len(names) * sums)).tolist()
    return weights


def _check_present(sums: NDArray[Any], names: Sequence[str], data: str) -> None:
    absent = [names[number] for number in np.flatnonzero(sums == 0).tolist()]
    if absent:
        more = f" and of {len(absent) - 1} other classes" if len(absent) > 1 else ""
        raise UserError(
            f"loss.class_weights=balanced: the train split of data={data} has no example of class "
            f"{absent[0]}{more}, whose weight would be infinite. Expected an example of each "
            "class, or the weights themselves: loss.class_weights=[…]"
        )
