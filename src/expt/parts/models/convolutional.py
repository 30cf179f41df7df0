"""Convolutional networks."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.errors import UserError
from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import (
    add_normalization,
    check_image,
    dense_layers,
    make_initializer,
    make_regularizer,
)


def cnn(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    filters: Sequence[int],
    kernel_size: int = 3,
    units: Sequence[int] = (128,),
    dropout: float = 0.0,
    normalization: str | None = None,
    l2: float = 0.0,
    initializer: Any = None,
) -> keras.Model:
    """Convolutional network: stages of convolution and 2x2 max-pooling, then dense layers.

    Convolutions pad their inputs, so that even 8x8 images allow three stages. Normalization, if
    any, precedes each activation.

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Number of logits or values per image.
        act: Makes an activation layer; called once per hidden layer.
        filters: Channels of each stage; a stage halves the image.
        kernel_size: Side of the kernels in pixels, at least 1.
        units: Widths of the dense layers after the stages.
        dropout: Fraction of the dense layers' activations dropped in training, in [0, 1).
        normalization: `batch`, or null for none.
        l2: Factor of the penalty l2·Σw² on all kernels, which is added to the loss; at least 0.
        initializer: Initializer of the hidden kernels, a Keras name or object; null is the one that
            suits the activation.

    Returns:
        A model with outputs of shape [batch, num_outputs].

    Raises:
        UserError: The inputs are not images or too small for so many stages, or an argument is out
            of its range.
    """
    check_image("cnn", input_shape)
    arguments = {"filters": filters, "kernel_size": kernel_size, "units": units}
    check_arguments("cnn", {**arguments, "dropout": dropout, "normalization": normalization})
    if min(input_shape[:2]) < 2 ** len(filters):
        raise UserError(
            f"model.filters={list(filters)}: {len(filters)} stages halve an image of "
            f"{input_shape[0]}x{input_shape[1]} pixels to less than one pixel; use fewer stages."
        )
    regularizer = make_regularizer(l2=l2)
    inputs = keras.Input(input_shape)
    hidden = inputs
    for channels in filters:
        convolution = keras.layers.Conv2D(
            channels,
            kernel_size,
            padding="same",
            use_bias=normalization is None,  # normalization subtracts the mean, and a bias with it
            kernel_initializer=make_initializer(act, initializer),
            kernel_regularizer=regularizer,
        )
        hidden = act()(add_normalization(convolution(hidden), normalization))
        hidden = keras.layers.MaxPooling2D()(hidden)
    hidden = dense_layers(
        keras.layers.Flatten()(hidden),
        act,
        units,
        dropout=dropout,
        normalization=normalization,
        regularizer=regularizer,
        initializer=initializer,
    )
    outputs = keras.layers.Dense(num_outputs, kernel_regularizer=regularizer)(hidden)
    return keras.Model(inputs, outputs, name="cnn")
