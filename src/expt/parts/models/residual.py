"""Residual networks."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import (
    add_normalization,
    check_image,
    make_initializer,
    make_regularizer,
)


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
    """Residual network for small images: y = act(F(x) + shortcut(x)), F two 3x3 convolutions.

    A convolution is followed by three stages of n blocks each, with `width`, 2·`width` and
    4·`width` channels; the second and third stage begin by halving the image. Global average
    pooling and a dense layer give the outputs: 6n + 2 layers with weights. Every convolution is
    batch-normalized and has no bias. The shortcut of a block that halves the image is a 1x1
    convolution (option B of the paper), else the identity. The paper's networks for CIFAR pad with
    zeros instead (option A), which saves 1 % of the parameters but needs a custom layer.

    Source: K. He et al., "Deep Residual Learning for Image Recognition", 2016, section 4.2.

    Args:
        input_shape: Height, width and channels of one image.
        num_outputs: Number of logits or values per image.
        act: Makes an activation layer; called once per hidden layer.
        depth: Number of layers with weights, 6n + 2: 8, 14, 20, 26, …
        width: Channels of the first stage, at least 1.
        l2: Factor of the penalty l2·Σw² on all kernels, which is added to the loss; at least 0.
        initializer: Initializer of the convolutions' kernels, a Keras name or object; null is the
            one that suits the activation.

    Returns:
        A model with outputs of shape [batch, num_outputs].

    Raises:
        UserError: The inputs are not images, or an argument is out of its range.
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
        return add_normalization(convolution(hidden), "batch")

    inputs = keras.Input(input_shape)
    hidden = act()(convolved(inputs, width))
    for stage in range(3):
        channels = width * 2**stage
        for block in range((depth - 2) // 6):
            # The first stage keeps the size and channels of the convolution before it.
            strides = 2 if stage > 0 and block == 0 else 1
            shortcut = hidden if strides == 1 else convolved(hidden, channels, 1, strides)
            hidden = act()(convolved(hidden, channels, strides=strides))
            hidden = keras.layers.Add()([convolved(hidden, channels), shortcut])
            hidden = act()(hidden)
    hidden = keras.layers.GlobalAveragePooling2D()(hidden)
    outputs = keras.layers.Dense(num_outputs, kernel_regularizer=regularizer)(hidden)
    return keras.Model(inputs, outputs, name="resnet")
