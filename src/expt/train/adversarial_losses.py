"""The losses of an adversarial pair: a generator and a discriminator."""

from typing import NamedTuple

import keras
import tensorflow as tf

from expt.train.input.batch import Batch, mean_loss
from expt.train.objective import Function


class AdversarialLosses(NamedTuple):
    """The mean losses of an adversarial pair on a batch.

    Attributes:
        generator: The loss of the generator: generated examples, with targets of 1.
        real: The loss of the discriminator on the batch, with targets of 1.
        generated: The loss of the discriminator on generated examples, with targets of 0.
    """

    generator: tf.Tensor
    real: tf.Tensor
    generated: tf.Tensor


def adversarial_losses(
    generator: keras.Model,
    discriminator: keras.Model,
    loss: Function,
    batch: Batch,
    noise_seed: keras.random.SeedGenerator,
) -> AdversarialLosses:
    """Returns the losses of an adversarial pair on a batch; see `make_adversarial_step`."""
    size, weights = batch.inputs.shape[0], batch.weights
    real, fake = tf.ones((size, 1)), tf.zeros((size, 1))
    noise = keras.random.normal((size, generator.input_shape[-1]), seed=noise_seed)
    generated = generator(noise, training=True)
    # Two calls, so that batch normalization has separate statistics for each.
    of_real = tf.cast(discriminator(batch.inputs, training=True), tf.float32)
    of_generated = tf.cast(discriminator(generated, training=True), tf.float32)
    return AdversarialLosses(
        mean_loss(loss(real, of_generated), weights),
        mean_loss(loss(real, of_real), weights),
        mean_loss(loss(fake, of_generated), weights),
    )
