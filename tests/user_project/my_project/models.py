"""Models of my own."""

from collections.abc import Sequence
from typing import Any

import keras


def build(input_shape: Sequence[int], num_outputs: int, act: Any, *, width: int) -> keras.Model:
    """Makes a network with two hidden layers that both see the inputs.

    Args:
        input_shape: The shape of an example.
        num_outputs: The number of classes or values.
        act: Makes activation layers.
        width: The number of units of each hidden layer.
    """
    inputs = keras.Input(input_shape)
    flat = keras.layers.Flatten()(inputs)
    hidden = flat
    for _ in range(2):
        dense = keras.layers.Dense(width, kernel_initializer=act.initializer)
        hidden = keras.layers.Concatenate()([flat, act()(dense(hidden))])
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden))
