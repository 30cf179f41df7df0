"""Generative adversarial networks."""

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
    """A generator, and a discriminator that distinguishes its examples from real ones.

    Attributes:
        generator: Maps noise of shape [batch, latent_size] to examples of shape [batch, …].
        discriminator: Maps examples to logits of shape [batch, 1], positive for real examples.
    """

    generator: keras.Model
    discriminator: keras.Model

    @property
    def latent_size(self) -> int:
        """The length of the noise vector of one example."""
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
    """Generative adversarial network of dense layers, for examples with values from 0 to 1.

    The generator ends in a sigmoid. Sources: I. Goodfellow et al., "Generative Adversarial Nets",
    2014; for the leaky ReLUs with slope 0.2 in the discriminator, A. Radford et al., "Unsupervised
    Representation Learning with Deep Convolutional Generative Adversarial Networks", 2016, section
    4.

    Args:
        input_shape: Shape of one example.
        num_outputs: Not used: the discriminator has one logit.
        act: Makes an activation layer; called once per hidden layer of the generator.
        generator_units: Widths of the generator's hidden layers.
        discriminator_units: Widths of the discriminator's hidden layers.
        latent_size: Length of the generator's noise vector, at least 1.
        dropout: Fraction of the discriminator's hidden activations dropped in training, in
            [0, 1).
        initializer: Initializer of the hidden kernels of both networks, a Keras name or object;
            null is the one that suits each activation.

    Returns:
        The generator and the discriminator, with separate weights.

    Raises:
        UserError: An argument is out of its range.
    """
    del num_outputs
    widths = {"generator_units": generator_units, "discriminator_units": discriminator_units}
    check_arguments("gan", {**widths, "latent_size": latent_size, "dropout": dropout})

    noise = keras.Input([latent_size])
    hidden = dense_layers(noise, act, generator_units, initializer=initializer)
    # A sigmoid, since the values of real examples lie between 0 and 1.
    hidden = keras.layers.Dense(math.prod(input_shape), activation="sigmoid")(hidden)
    examples = keras.layers.Reshape(tuple(input_shape))(hidden)
    generator = keras.Model(noise, examples, name="generator")

    examples = keras.Input(input_shape)
    hidden = dense_layers(
        keras.layers.Flatten()(examples),
        # Leaky ReLU as in the source; `act` applies to the generator alone.
        functools.partial(keras.layers.LeakyReLU, negative_slope=0.2),
        discriminator_units,
        dropout=dropout,
        initializer="he_normal" if initializer is None else initializer,
    )
    discriminator = keras.Model(examples, keras.layers.Dense(1)(hidden), name="discriminator")
    return AdversarialPair(generator, discriminator)
