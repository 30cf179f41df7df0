"""A model of a user's own, for `model=custom`."""

from collections.abc import Callable, Sequence

import keras


def build(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    width: int,
) -> keras.Model:
    inputs = keras.Input(input_shape)
    hidden = act()(keras.layers.Dense(width)(keras.layers.Flatten()(inputs)))
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden))


def build_sequential(
    input_shape: Sequence[int],  # noqa: ARG001  every model is built with it
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
) -> keras.Model:
    """Returns a `Sequential` without an input layer, which has no symbolic input of its own."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(8), act(), keras.layers.Dense(num_outputs)]
    return keras.Sequential(layers)
