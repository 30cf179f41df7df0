"""Models of my own."""

from collections.abc import Sequence
from typing import Any

import keras


def build(input_shape: Sequence[int], num_outputs: int, act: Any, *, width: int) -> keras.Model:
    """Two hidden layers; both see the inputs."""
    inputs = keras.Input(input_shape)
    flat = keras.layers.Flatten()(inputs)
    hidden = flat
    for _ in range(2):
        dense = keras.layers.Dense(width, kernel_initializer=act.initializer)
        hidden = keras.layers.Concatenate()([flat, act()(dense(hidden))])
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden))
