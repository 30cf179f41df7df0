"""Models of convolutions."""

from collections.abc import Callable, Sequence

import keras

from expt.errors import UserError
from expt.parts.models.layers import dense_layers


def cnn(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    filters: Sequence[int],
    kernel_size: int = 3,
    units: Sequence[int] = (128,),
    dropout: float = 0.0,
) -> keras.Model:
    """A convolutional net: convolution, activation and 2x2 max-pooling a stage, then dense layers.

    Convolutions pad, so that even 8x8 images last through three stages.

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Logits or values for one image.
        act: Makes an activation layer; called once a hidden layer.
        filters: Channels of each stage.
        kernel_size: Side of the kernels, in pixels.
        units: Widths of the dense layers after the stages.
        dropout: The fraction of the dense layers' activations dropped in training.

    Raises:
        UserError: An input is not an image, or too small for so many stages.
    """
    if len(input_shape) != 3:
        raise UserError(
            f"model=cnn needs images (height, width, channels); the data's inputs have the shape "
            f"{tuple(input_shape)}. model=mlp takes any shape."
        )
    if min(input_shape[:2]) < 2 ** len(filters):
        raise UserError(
            f"model.filters={list(filters)}: {len(filters)} stages halve an image of "
            f"{input_shape[0]}x{input_shape[1]} pixels to nothing; use fewer."
        )
    inputs = keras.Input(input_shape)
    hidden = inputs
    for channels in filters:
        hidden = act()(keras.layers.Conv2D(channels, kernel_size, padding="same")(hidden))
        hidden = keras.layers.MaxPooling2D()(hidden)
    hidden = keras.layers.Flatten()(hidden)
    hidden = dense_layers(hidden, act, units, dropout)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hidden), name="cnn")
