"""Models of dense layers."""

from collections.abc import Callable, Sequence

import keras

from expt.parts.models.layers import dense_layers


def linear(
    input_shape: Sequence[int], num_outputs: int, act: Callable[[], keras.layers.Layer]
) -> keras.Model:
    """One affine map: outputs = x·W + b. It has no use for the activation.

    Args:
        input_shape: Shape of one input; it is flattened.
        num_outputs: Logits or values for one input.
        act: Makes an activation layer.
    """
    del act
    inputs = keras.Input(input_shape)
    outputs = keras.layers.Dense(num_outputs)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, outputs, name="linear")


def mlp(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    units: Sequence[int],
    dropout: float = 0.0,
) -> keras.Model:
    """A multi-layer perceptron: dense layers, each with an activation, then the logits.

    Args:
        input_shape: Shape of one input; it is flattened.
        num_outputs: Logits or values for one input.
        act: Makes an activation layer; called once a hidden layer.
        units: Widths of the hidden layers.
        dropout: The fraction of each hidden layer's activations dropped in training.
    """
    inputs = keras.Input(input_shape)
    hidden = keras.layers.Flatten()(inputs)
    hidden = dense_layers(hidden, act, units, dropout)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden), name="mlp")
