"""A non-convex problem with gradients in NumPy: a small network on noisy minibatches."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RANDOM = np.random.default_rng(3)
NUM_STEPS = 100
INPUTS = RANDOM.standard_normal((NUM_STEPS, 16, 5))
TARGETS = np.argmax(
    INPUTS[..., :3] ** 2 + INPUTS[..., 2:] + 0.3 * RANDOM.standard_normal((NUM_STEPS, 16, 3)),
    axis=-1,
)
START: list[Array] = [
    RANDOM.standard_normal((5, 6)) / 2,
    RANDOM.standard_normal(6) / 10,
    RANDOM.standard_normal((6, 3)) / 2,
    RANDOM.standard_normal(3) / 10,
]


def gradients(weights: list[Array], step: int) -> list[Array]:
    """Gradients of the cross-entropy of softmax(tanh(x·W + b)·V + c) on the step's batch."""
    w, b, v, c = (np.asarray(each, np.float64) for each in weights)
    x, y = INPUTS[step], TARGETS[step]
    hidden = np.tanh(x @ w + b)
    logits = hidden @ v + c
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    errors = (p - np.eye(3)[y]) / len(y)
    back = errors @ v.T * (1 - hidden**2)
    return [x.T @ back, back.sum(axis=0), hidden.T @ errors, errors.sum(axis=0)]


def loss(weights: list[Array]) -> float:
    """The mean cross-entropy over all batches."""
    w, b, v, c = weights
    logits = np.tanh(INPUTS @ w + b) @ v + c
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return float(-np.take_along_axis(log_p, TARGETS[..., None], axis=-1).mean())


def trained(
    updates: list[Callable[[Array, Array, float], Array]],
    rates: list[float],
    clip: Callable[[list[Array]], list[Array]] = lambda gradients: gradients,
) -> list[list[Array]]:
    """The weights after each step of a rule in NumPy, each variable with its own update."""
    weights, found = START, []
    for step, rate in enumerate(rates):
        clipped = clip(gradients(weights, step))
        weights = [u(t, g, rate) for u, t, g in zip(updates, weights, clipped, strict=True)]
        found.append(weights)
    return found


def average(history: list[list[Any]], momentum: float) -> list[Array]:
    """The exponential moving average of the weights after each step, starting with the first."""
    found = history[0]
    for weights in history[1:]:
        found = [momentum * a + (1 - momentum) * w for a, w in zip(found, weights, strict=True)]
    return found
