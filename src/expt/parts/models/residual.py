"""Residual nets."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import check_image, make_initializer, make_regularizer, normalized


def resnet(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    depth: int = 20,
    width: int = 16,
    l2: float = 0.0,
    initializer: Any = None,
) -> keras.Model:
    """The residual net for small images: y = act(F(x) + shortcut(x)), F two 3x3 convolutions.

    A convolution, then three stages of n blocks each with `width`, 2·`width` and 4·`width`
    channels, of which the second and third begin by halving the image; then the mean over the
    pixels and the logits: 6n + 2 layers with weights. Every convolution is batch-normalised and
    has no bias. Where a block halves the image its shortcut is a 1x1 convolution (option B of the
    paper; elsewhere it is the identity): the paper's own nets for CIFAR pad with zeros instead
    (option A), which saves 1 % of the parameters and which plain layers do not offer.

    Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2.

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Logits or values for one image.
        act: Makes an activation layer; called once a hidden layer.
        depth: Layers with weights: 6n + 2.
        width: Channels of the first stage.
        l2: Adds l2·Σw² over all kernels to the loss.
        initializer: Of the convolutions' kernels: a name or object of Keras; None takes what suits
            the activation.

    Raises:
        UserError: An input is not an image, or an argument is out of its range.
    """
    check_image("resnet", input_shape)
    check_arguments("resnet", {"depth": depth, "width": width})
    regularizer = make_regularizer(l2=l2)

    def convolved(hidden: Any, channels: int, kernel_size: int = 3, strides: int = 1) -> Any:
        convolution = keras.layers.Conv2D(
            channels,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            kernel_initializer=make_initializer(act, initializer),
            kernel_regularizer=regularizer,
        )
        return normalized(convolution(hidden), "batch")

    inputs = keras.Input(input_shape)
    hidden = act()(convolved(inputs, width))
    for stage in range(3):
        channels = width * 2**stage
        for block in range((depth - 2) // 6):
            strides = 2 if stage > 0 and block == 0 else 1
            shortcut = hidden if strides == 1 else convolved(hidden, channels, 1, strides)
            hidden = act()(convolved(hidden, channels, strides=strides))
            hidden = keras.layers.Add()([convolved(hidden, channels), shortcut])
            hidden = act()(hidden)
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    outputs = keras.layers.Dense(num_outputs, kernel_regularizer=regularizer)(hidden)
    return keras.Model(inputs, outputs, name="resnet")
