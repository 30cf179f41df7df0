"""Pairs of models that train against each other."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from expt.parts.models.arguments import check_arguments
from expt.parts.models.layers import dense_layers


@dataclass(frozen=True)
class AdversarialPair:
    """A generator and the discriminator that tells its examples from real ones.

    Attributes:
        generator: Maps noise [batch, latent_size] to examples [batch, ...].
        discriminator: Maps examples to logits [batch, 1], large for real ones.
    """

    generator: keras.Model
    discriminator: keras.Model

    @property
    def latent_size(self) -> int:
        """How many numbers of noise make one example."""
        return int(self.generator.input_shape[-1])


def gan(
    input_shape: Sequence[int],
    num_outputs: int,
    act: Callable[[], keras.layers.Layer],
    *,
    generator_units: Sequence[int],
    discriminator_units: Sequence[int],
    latent_size: int = 32,
    dropout: float = 0.0,
    initializer: Any = None,
) -> AdversarialPair:
    """A generative adversarial pair of dense layers, for examples whose values lie in 0..1.

    Sources: I. Goodfellow et al., "Generative Adversarial Nets", 2014; the discriminator's leaky
    rectifiers of slope 0.2 from A. Radford et al., "Unsupervised Representation Learning with Deep
    Convolutional Generative Adversarial Networks", 2016, section 4.

    Args:
        input_shape: Shape of one example.
        num_outputs: Not used: the discriminator has one logit.
        act: Makes an activation layer; called once a hidden layer of the generator.
        generator_units: Widths of the generator's hidden layers.
        discriminator_units: Widths of the discriminator's hidden layers.
        latent_size: How many numbers of noise make one example.
        dropout: The fraction of the discriminator's hidden activations dropped in training.
        initializer: Of the hidden kernels of both: a name or object of Keras; None takes what
            suits each activation.

    Raises:
        UserError: An argument is out of its range.
    """
    del num_outputs
    widths = {"generator_units": generator_units, "discriminator_units": discriminator_units}
    check_arguments("gan", {**widths, "latent_size": latent_size, "dropout": dropout})

    noise = keras.Input([latent_size])
    hidden = dense_layers(noise, act, generator_units, initializer=initializer)
    hidden = keras.layers.Dense(math.prod(input_shape), activation="sigmoid")(hidden)
    examples = keras.layers.Reshape(tuple(input_shape))(hidden)
    generator = keras.Model(noise, examples, name="generator")

    examples = keras.Input(input_shape)
    hidden = dense_layers(
        keras.layers.Flatten()(examples),
        functools.partial(keras.layers.LeakyReLU, negative_slope=0.2),
        discriminator_units,
        dropout=dropout,
        initializer="he_normal" if initializer is None else initializer,
    )
    discriminator = keras.Model(examples, keras.layers.Dense(1)(hidden), name="discriminator")
    return AdversarialPair(generator, discriminator)
