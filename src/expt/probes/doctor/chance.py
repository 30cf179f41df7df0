"""The loss of models that ignore their inputs, for losses with a known formula."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOSSES = "expt.parts.losses."


def classification_losses(
    loss: Mapping[str, Any], shares: NDArray[np.floating[Any]]
) -> tuple[float, float] | None:
    """Returns the loss of equal probabilities, and that of the best constant prediction.

    For the cross-entropy they are log K and the entropy -Σ p_k log p_k, where label smoothing s
    replaces p by (1 - s) p + s / K. For the squared error between probabilities and one-hot
    targets they are (K - 1) / K² and Σ p_k (1 - p_k) / K.

    Args:
        loss: The config node of the loss.
        shares: The share p_k of each of the K classes in the loss, shape [classes]; their sum is 1.

    Returns:
        Both losses; None for a loss without a known formula.
    """
    name, count = str(loss.get("_target_", "")), len(shares)
    if name == f"{_LOSSES}mse":
        return (count - 1) / count**2, float((shares * (1 - shares)).mean())
    if name != f"{_LOSSES}crossentropy":
        return None
    smoothing = loss.get("label_smoothing", 0.0)
    smoothed = (1 - smoothing) * shares + smoothing / count
    present = smoothed[smoothed > 0]
    return float(np.log(count)), float(-(present * np.log(present)).sum())


def regression_loss(loss: Mapping[str, Any], targets: NDArray[np.floating[Any]]) -> float | None:
    """Returns the loss of the best constant prediction; None for a loss without a known formula.

    It is the variance of the targets for the mean squared error, and the mean distance from their
    median for the mean absolute error.

    Args:
        loss: The config node of the loss.
        targets: The targets of the train split as the loss sees them, shape [examples, values].
    """
    formulas: Mapping[str, Callable[[], NDArray[np.floating[Any]]]] = {
        f"{_LOSSES}mse": lambda: np.square(targets - targets.mean(axis=0)),
        f"{_LOSSES}mae": lambda: np.abs(targets - np.median(targets, axis=0)),
    }
    formula = formulas.get(str(loss.get("_target_", "")))
    return None if formula is None else float(formula().mean())
