"""Autoencoders: models that reconstruct their inputs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import dense_layers


def autoencoder(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    units: Sequence[int],
    latent: int,
    initializer: Any = None,
) -> keras.Model:
    """Autoencoder of dense layers: an encoder to a short code, and its mirror image as decoder.

    The code (the output of the layer named `latent`) and the reconstruction have no activation, so
    that without hidden layers the best model spans the principal components.

    Source: G. Hinton and R. Salakhutdinov, "Reducing the Dimensionality of Data with Neural
    Networks", 2006.

    Args:
        input_shape: Shape of one input, and of its reconstruction.
        num_outputs: Not used: there are as many outputs as inputs.
        act: Makes an activation layer; called once per hidden layer.
        units: Widths of the encoder's hidden layers; the decoder has them in reverse order.
        latent: Length of the code, at least 1.
        initializer: Initializer of the hidden kernels, a Keras name or object; null is the one that
            suits the activation.

    Returns:
        A model with outputs of the inputs' shape, [batch, …].

    Raises:
        UserError: An argument is out of its range.
    """
    del num_outputs
    check_arguments("autoencoder", {"units": units, "latent": latent})
    inputs = keras.Input(input_shape)
    hidden = keras.layers.Flatten()(inputs)
    hidden = dense_layers(hidden, act, units, initializer=initializer)
    hidden = keras.layers.Dense(latent, name="latent")(hidden)
    hidden = dense_layers(hidden, act, units[::-1], initializer=initializer)
    hidden = keras.layers.Dense(math.prod(input_shape))(hidden)
    outputs = keras.layers.Reshape(tuple(input_shape))(hidden)
    return keras.Model(inputs, outputs, name="autoencoder")
