"""Models of dense layers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import dense_layers, make_regularizer


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
    normalization: str | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    residual: bool = False,
    initializer: Any = None,
) -> keras.Model:
    """A multi-layer perceptron: dense layers, each with an activation, then the logits.

    A block is: dense layer, normalisation, activation, dropout, shortcut.

    Args:
        input_shape: Shape of one input; it is flattened.
        num_outputs: Logits or values for one input.
        act: Makes an activation layer; called once a hidden layer.
        units: Widths of the hidden layers.
        dropout: The fraction of each hidden layer's activations dropped in training.
        normalization: `batch`, `layer` or None.
        l1: Adds l1·Σ|w| over all kernels to the loss.
        l2: Adds l2·Σw² over all kernels to the loss.
        residual: Whether to add a block's input to its output; where their widths differ, the
            input goes through a linear map without bias first.
        initializer: Of the hidden kernels: a name or object of Keras; None takes what suits the
            activation.

    Raises:
        UserError: An argument is out of its range.
    """
    arguments = {"units": units, "dropout": dropout, "normalization": normalization}
    check_arguments("mlp", {**arguments, "residual": residual})
    regularizer = make_regularizer(l1=l1, l2=l2)
    inputs = keras.Input(input_shape)
    hidden = dense_layers(
        keras.layers.Flatten()(inputs),
        act,
        units,
        dropout=dropout,
        normalization=normalization,
        residual=residual,
        regularizer=regularizer,
        initializer=initializer,
    )
    outputs = keras.layers.Dense(num_outputs, kernel_regularizer=regularizer)(hidden)
    return keras.Model(inputs, outputs, name="mlp")
