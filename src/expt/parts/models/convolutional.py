"""Models of convolutions."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.errors import UserError
from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import (
    check_image,
    dense_layers,
    make_initializer,
    make_regularizer,
    normalized,
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
    """A convolutional net: convolution, activation and 2x2 max-pooling a stage, then dense layers.

    Convolutions pad, so that even 8x8 images last through three stages. A normalisation stands
    before each activation.

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Logits or values for one image.
        act: Makes an activation layer; called once a hidden layer.
        filters: Channels of each stage.
        kernel_size: Side of the kernels, in pixels.
        units: Widths of the dense layers after the stages.
        dropout: The fraction of the dense layers' activations dropped in training.
        normalization: `batch` or None.
        l2: Adds l2·Σw² over all kernels to the loss.
        initializer: Of the hidden kernels: a name or object of Keras; None takes what suits the
            activation.

    Raises:
        UserError: An input is not an image, or too small for so many stages, or an argument is
            out of its range.
    """
    check_image("cnn", input_shape)
    arguments = {"filters": filters, "kernel_size": kernel_size, "units": units}
    check_arguments("cnn", {**arguments, "dropout": dropout, "normalization": normalization})
    if min(input_shape[:2]) < 2 ** len(filters):
        raise UserError(
            f"model.filters={list(filters)}: {len(filters)} stages halve an image of "
            f"{input_shape[0]}x{input_shape[1]} pixels to nothing; use fewer."
        )
    regularizer = make_regularizer(l2=l2)
    inputs = keras.Input(input_shape)
    hidden = inputs
    for channels in filters:
        convolution = keras.layers.Conv2D(
            channels,
            kernel_size,
            padding="same",
            use_bias=normalization is None,
            kernel_initializer=make_initializer(act, initializer),
            kernel_regularizer=regularizer,
        )
        hidden = act()(normalized(convolution(hidden), normalization))
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
