"""Networks of dense layers."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import dense_layers, make_regularizer


def linear(
    input_shape: Sequence[int], num_outputs: int, act: Callable[[], keras.layers.Layer]
) -> keras.Model:
    """Linear model: outputs = x·W + b.

    Args:
        input_shape: Shape of one input, which is flattened.
        num_outputs: Number of logits or values per input.
        act: Not used.

    Returns:
        A model with outputs of shape [batch, num_outputs].
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
    """Multi-layer perceptron: dense layers, each with an activation, then the outputs.

    A block is: dense layer, normalization, activation, dropout, shortcut.

    Args:
        input_shape: Shape of one input, which is flattened.
        num_outputs: Number of logits or values per input.
        act: Makes an activation layer; called once per hidden layer.
        units: Widths of the hidden layers.
        dropout: Fraction of each hidden layer's activations dropped in training, in [0, 1).
        normalization: `batch` or `layer`; null is none.
        l1: Factor of the penalty l1·Σ|w| on all kernels, which is added to the loss; at least 0.
        l2: Factor of the penalty l2·Σw² on all kernels, which is added to the loss; at least 0.
        residual: Whether to add a block's input to its output; where their widths differ, a linear
            map without bias projects the input first.
        initializer: Initializer of the hidden kernels, a Keras name or object; null is the one that
            suits the activation.

    Returns:
        A model with outputs of shape [batch, num_outputs].

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
