"""Helpers of the models' tests."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Act:
    """An activation as models get it: makes a layer, and names the suitable initializer."""

    make: Callable[[], Any]
    initializer: str

    def __call__(self) -> Any:
        return self.make()


def inputs_of(shape: tuple[int, ...], count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def layers(model: keras.Model, kind: type | tuple[type, ...]) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def randomize(model: keras.Model) -> None:
    """Sets every weight to a different value; all are positive, as variances must be."""
    random = np.random.default_rng(1)
    model.set_weights(
        [random.uniform(0.1, 0.6, w.shape) - 0.3 * (w.ndim > 1) for w in model.weights]
    )


def batch_normalized(values: Array, layer: Any) -> Array:
    """Batch normalization in inference mode."""
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in layer.get_weights())
    normal: Array = gamma * (values - mean) / np.sqrt(variance + layer.epsilon) + beta
    return normal


def layer_normalized(values: Array, layer: Any) -> Array:
    gamma, beta = (np.asarray(w, np.float64) for w in layer.get_weights())
    mean, variance = values.mean(-1, keepdims=True), values.var(-1, keepdims=True)
    normal: Array = gamma * (values - mean) / np.sqrt(variance + layer.epsilon) + beta
    return normal


def dense(values: Array, layer: Any) -> Array:
    kernel, *bias = (np.asarray(w, np.float64) for w in layer.get_weights())
    mapped: Array = values @ kernel + (bias[0] if bias else 0)
    return mapped
