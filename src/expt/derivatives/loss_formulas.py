"""Closed forms of the gradients of expt's losses with respect to the outputs, in NumPy.

The docstrings of `expt.parts.losses` have the losses and their sources. t are targets as vectors
(one-hot for labels), o outputs, n the number of outputs, and p = softmax(o). A loss of labels that
compares probabilities has the gradient Jᵀ ∂l/∂p, where J = diag(p) - p pᵀ is the softmax's
Jacobian.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]
Gradient = Callable[..., Array]
"""A gradient: a function of targets and outputs, both [examples, n], and the loss' options."""


def softmax_jacobian(p: Array) -> Array:
    """Returns the softmax's Jacobian diag(p) - p pᵀ.

    Source: C. Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.106.

    Args:
        p: Probabilities, shape [..., n].

    Returns:
        Shape [..., n, n].
    """
    return np.asarray(p[..., None] * (np.eye(p.shape[-1]) - p[..., None, :]))


def find_gradient(loss: functools.partial[Any], *, of_labels: bool) -> tuple[str, Gradient] | None:
    """Returns the formula and the closed form of a loss' gradient with respect to its outputs.

    Args:
        loss: The loss with its options.
        of_labels: Whether the targets are labels of classes.

    Returns:
        None if the loss is not one of expt's, or if it weighs classes.
    """
    if loss.func.__module__ != "expt.parts.losses" or loss.keywords.get("class_weights"):
        return None
    name, options = loss.func.__name__, dict(loss.keywords)
    options.pop("class_weights", None)
    if name in _OF_LOGITS:
        text, gradient = _OF_LOGITS[name]
        return text, functools.partial(gradient, **options)
    if name not in _OF_VALUES:
        return None
    text, gradient = _OF_VALUES[name]
    bound = functools.partial(gradient, **options)
    if not of_labels:
        return text, bound
    of_probabilities = re.sub(r"\bo\b", "p", text)
    return f"Jᵀ g, g = {of_probabilities}", functools.partial(_through_softmax, bound)


def _through_softmax(gradient: Gradient, targets: Array, outputs: Array) -> Array:
    p = special.softmax(outputs, axis=-1)
    return np.asarray(np.einsum("eij,ei->ej", softmax_jacobian(p), gradient(targets, p)))


def _smoothed(targets: Array, label_smoothing: float, num_outcomes: int) -> Array:
    return (1 - label_smoothing) * targets + label_smoothing / num_outcomes


def _crossentropy(targets: Array, outputs: Array, *, label_smoothing: float = 0.0) -> Array:
    smoothed = _smoothed(targets, label_smoothing, outputs.shape[-1])
    return np.asarray(special.softmax(outputs, axis=-1) - smoothed)


def _binary_crossentropy(targets: Array, outputs: Array, *, label_smoothing: float = 0.0) -> Array:
    smoothed = _smoothed(targets, label_smoothing, 2)
    return np.asarray((special.expit(outputs) - smoothed) / outputs.shape[-1])


def _focal(targets: Array, outputs: Array, *, gamma: float = 2.0) -> Array:
    p = special.softmax(outputs, axis=-1)
    p_class = (p * targets).sum(axis=-1, keepdims=True)
    others = 1 - p_class
    factor = gamma * p_class * others ** (gamma - 1) * np.log(p_class) - others**gamma
    return np.asarray(factor * (targets - p))


def _hinge(targets: Array, outputs: Array, *, margin: float = 1.0) -> Array:
    others = np.where(targets > 0, -np.inf, outputs)
    largest = np.eye(outputs.shape[-1])[others.argmax(axis=-1)]
    gap = (outputs * targets).sum(axis=-1) - others.max(axis=-1)
    return np.where(gap[:, None] < margin, largest - targets, 0.0)


def _mse(targets: Array, outputs: Array) -> Array:
    return np.asarray(2 * (outputs - targets) / outputs.shape[-1])


def _mae(targets: Array, outputs: Array) -> Array:
    return np.asarray(np.sign(outputs - targets) / outputs.shape[-1])


def _huber(targets: Array, outputs: Array, *, delta: float = 1.0) -> Array:
    return np.asarray(np.clip(outputs - targets, -delta, delta) / outputs.shape[-1])


def _log_cosh(targets: Array, outputs: Array) -> Array:
    return np.asarray(np.tanh(outputs - targets) / outputs.shape[-1])


def _quantile(targets: Array, outputs: Array, *, quantile: float = 0.5) -> Array:
    return np.asarray(np.where(outputs < targets, -quantile, 1 - quantile) / outputs.shape[-1])


def _poisson(targets: Array, outputs: Array) -> Array:
    rates = np.logaddexp(0, outputs)
    return np.asarray(special.expit(outputs) * (1 - targets / rates) / outputs.shape[-1])


def _cosine(targets: Array, outputs: Array) -> Array:
    norms = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (targets, outputs)]
    t, o = targets / norms[0], outputs / norms[1]
    return np.asarray(((t * o).sum(axis=-1, keepdims=True) * o - t) / norms[1])


_OF_LOGITS: Mapping[str, tuple[str, Gradient]] = {
    "crossentropy": ("p - t", _crossentropy),
    "kl": ("p - t", _crossentropy),
    "binary_crossentropy": ("(σ(o) - t) / n", _binary_crossentropy),
    "focal": ("(γ q (1 - q)^(γ-1) log q - (1 - q)^γ) (t - p), q = p of the class", _focal),
    "hinge": ("onehot(argmax of the others) - t within the margin; else 0", _hinge),
    "poisson": ("σ(o) (1 - t / softplus(o)) / n", _poisson),
}
_OF_VALUES: Mapping[str, tuple[str, Gradient]] = {
    "mse": ("2 (o - t) / n", _mse),
    "mae": ("sign(o - t) / n", _mae),
    "huber": ("min(max(o - t, -δ), δ) / n", _huber),
    "log_cosh": ("tanh(o - t) / n", _log_cosh),
    "quantile": ("-q / n for o < t; (1 - q) / n for o > t", _quantile),
    "cosine": ("(cos(t, o) o / |o| - t / |t|) / |o|", _cosine),
}
