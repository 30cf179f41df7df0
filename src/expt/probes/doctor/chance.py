"""The loss of constant predictions, for losses with a known formula."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOSSES = "expt.parts.losses."

Shares = NDArray[np.floating[Any]]
"""The share of each class, shape [classes]; their sum is 1."""


def classification_loss(loss: Mapping[str, Any], predicted: Shares, actual: Shares) -> float | None:
    """Returns the mean loss of a model that predicts the same probabilities for all examples.

    For probabilities p and shares q of the labels it is -Σ q_k log p_k for the cross-entropy, where
    label smoothing s replaces q by (1 - s) q + s / K, and Σ_k q_k |p - e_k|² / K for the mean
    squared error, where e_k is the one-hot vector of class k.

    Args:
        loss: The config node of the loss.
        predicted: The probability of each class.
        actual: The share of each class in the labels.

    Returns:
        The loss; None for a loss without a known formula. Infinite if a class with labels has the
        probability 0.
    """
    name, count = str(loss.get("_target_", "")), len(predicted)
    if name == f"{_LOSSES}mse":
        return float((predicted @ predicted - 2 * actual @ predicted + 1) / count)
    if name != f"{_LOSSES}crossentropy":
        return None
    smoothed = smooth(loss, actual)
    there = smoothed > 0
    with np.errstate(divide="ignore"):
        return float(-(smoothed[there] * np.log(predicted[there])).sum())


def smooth(loss: Mapping[str, Any], shares: Shares) -> Shares:
    """Returns the shares of the classes with the label smoothing of a loss."""
    smoothing = loss.get("label_smoothing", 0.0)
    return np.asarray((1 - smoothing) * shares + smoothing / len(shares))


def regression_loss(
    loss: Mapping[str, Any], fitted: NDArray[Any], actual: NDArray[Any]
) -> float | None:
    """Returns the mean loss of a model that always predicts the mean, or for mae the median.

    Args:
        loss: The config node of the loss.
        fitted: The targets whose mean or median is predicted, shape [examples, values].
        actual: The targets that are compared with it, shape [examples, values].

    Returns:
        The loss; None for a loss without a known formula.
    """
    name = str(loss.get("_target_", ""))
    if name == f"{_LOSSES}mse":
        return float(np.square(actual - fitted.mean(axis=0)).mean())
    if name == f"{_LOSSES}mae":
        return float(np.abs(actual - np.median(fitted, axis=0)).mean())
    return None
