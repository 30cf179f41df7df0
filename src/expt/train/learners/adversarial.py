"""Adversarial training of a generator and a discriminator."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.train.adversarial_step import make_adversarial_step
from expt.train.evaluation import Evaluate, GraphEvaluation, to_host
from expt.train.input.batch import Batch, mean_loss
from expt.train.loss_checks import check_loss
from expt.train.objective import Objective
from expt.train.optimizer import MakeOptimizer
from expt.train.preflight import check_gradients, check_values, preserve_states
from expt.train.terms import adversarial_terms

_MOST_EXAMPLES = 2_000
_PROJECTIONS = 128
# Of the noise in evaluations, which is the same at every step, so that only the weights matter.
_SEED = 0


class Pair(Protocol):
    """The return value of a model part for adversarial training.

    Attributes:
        generator: Maps noise, shape [batch, latent], to examples.
        discriminator: Maps examples to logits, shape [batch, 1].
    """

    generator: keras.Model
    discriminator: keras.Model


class Adversarial:
    """A `Learner` that trains a generator and a discriminator against each other.

    Evaluations report the losses of both, and the sliced Wasserstein `distance` between generated
    examples and those of the split. The best model is chosen by the distance, because the loss of
    a generator measures its success against its own discriminator, not its quality.
    """

    watched: str = "val/distance"
    reported: Sequence[str] = ("loss", "discriminator_loss", "distance")

    def __init__(self, pair: Pair, objective: Objective, make_optimizer: MakeOptimizer) -> None:
        self.model, self._discriminator = pair.generator, pair.discriminator
        self.networks: Sequence[keras.Model] = [self.model, self._discriminator]
        self.optimizers: Sequence[keras.optimizers.Optimizer] = [
            make_optimizer(network.trainable_variables) for network in self.networks
        ]
        self._loss = objective.loss
        noise_seed = keras.random.SeedGenerator()
        self.random_states: Sequence[Any] = [noise_seed.state]
        pair_and_loss = self.model, self._discriminator, self._loss
        of_generator, of_discriminator = self.optimizers
        step = make_adversarial_step(
            *pair_and_loss, of_generator, of_discriminator, noise_seed, objective.num_parts
        )
        terms = adversarial_terms(*pair_and_loss, of_generator, of_discriminator, noise_seed)
        self.step = replace(step, terms=terms)

    def check(self, batch: Batch, dataset: Dataset) -> Sequence[str]:
        """Checks both networks, the loss and the gradients on a batch."""
        size = len(batch.inputs)
        noise = tf.random.stateless_normal((size, self.model.input_shape[-1]), (_SEED, 0))
        with preserve_states(self.networks), tf.GradientTape(persistent=True) as tape:
            # The shapes are checked one by one, so that the message names the network at fault.
            generated = _one_tensor(self.model(noise, training=True), "generator")
            if tuple(generated.shape) != tuple(batch.inputs.shape):
                raise UserError(
                    f"model: its generator returned the shape {tuple(generated.shape)} for a "
                    f"batch; data={dataset.name} needs {tuple(batch.inputs.shape)}."
                )
            judged = _one_tensor(self._discriminator(generated, training=True), "discriminator")
            logits = tf.cast(judged, tf.float32)
            if tuple(logits.shape) != (size, 1):
                raise UserError(
                    f"model: its discriminator returned the shape {tuple(logits.shape)} for a "
                    f"batch; expected one logit per example, {(size, 1)}."
                )
            values = check_values(self._loss(tf.ones((size, 1)), logits), size)
        for network in self.networks:
            check_gradients(tape, values, network)
        # Both classes, in turn: `check_loss` needs examples whose targets differ.
        targets = tf.cast(tf.range(size)[:, None] % 2, tf.float32)
        return check_loss(self._loss, targets, logits)

    def make_evaluate(self, split: Split, mode: str) -> Evaluate:
        """Returns the function that compares generated examples with those of a split.

        At most the first 2,000 examples of the split are used.
        """
        real = tf.constant(split.first(_MOST_EXAMPLES), tf.float32)
        noise, directions = _draw_noise_and_directions(self.model, real)

        def evaluate() -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            generated = tf.cast(self.model(noise, training=False), tf.float32)
            of_real, of_generated = (
                tf.cast(self._discriminator(examples, training=False), tf.float32)
                for examples in (real, generated)
            )
            ones, zeros = tf.ones_like(of_real), tf.zeros_like(of_real)
            of_pair = [(ones, of_real), (zeros, of_generated)]
            values = {
                "loss": mean_loss(self._loss(ones, of_generated), None),
                "discriminator_loss": sum(mean_loss(self._loss(*of), None) for of in of_pair) / 2,
                "distance": sliced_distance(real, generated, directions),
            }
            return values, generated

        return GraphEvaluation(evaluate, mode)

    @staticmethod
    def evaluate_saved(model: keras.Model, objective: Objective, split: Split) -> Evaluate:
        """Returns the function that computes the distance of a saved generator from a split.

        There are no losses, because the discriminator is not saved.
        """
        del objective
        real = tf.constant(split.first(_MOST_EXAMPLES), tf.float32)
        noise, directions = _draw_noise_and_directions(model, real)

        def evaluate() -> tuple[dict[str, float], NDArray[np.float32]]:
            generated = tf.cast(model(noise, training=False), tf.float32)
            return to_host({"distance": sliced_distance(real, generated, directions)}, generated)

        return evaluate


def _one_tensor(outputs: Any, network: str) -> tf.Tensor:
    """Returns the outputs of a network, which must be one tensor.

    Raises:
        UserError: They are not one tensor.
    """
    if not tf.is_tensor(outputs):
        raise UserError(
            f"model: its {network} returns a {type(outputs).__name__}; expected one tensor."
        )
    return outputs


def _draw_noise_and_directions(
    generator: keras.Model, real: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the noise for the generator, and the directions for the distance."""
    # Outside of the compiled function, because XLA draws other random numbers for the same seed.
    noise = tf.random.stateless_normal((real.shape[0], generator.input_shape[-1]), (_SEED, 0))
    return noise, random_directions(math.prod(real.shape[1:]))


def random_directions(size: int) -> tf.Tensor:
    """Returns random unit vectors, float32 of shape [size, directions]; always the same ones."""
    directions = tf.random.stateless_normal((size, _PROJECTIONS), (_SEED, 1))
    return tf.math.l2_normalize(directions, axis=0)


def sliced_distance(one: tf.Tensor, other: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
    """Returns the sliced Wasserstein distance between two samples of the same size.

    The square root of the mean, over directions u, of ∫ (F⁻¹_u - G⁻¹_u)², with the quantile
    functions of both samples projected on u. For samples, the integral is the mean squared
    difference of the sorted projections. Source: N. Bonneel et al., "Sliced and Radon Wasserstein
    Barycenters of Measures", JMIV 51, 2015.

    Args:
        one: A sample, shape [examples, ...].
        other: The other sample, of the same shape.
        directions: Unit vectors, shape [size of an example, directions].

    Returns:
        A scalar in the unit of the examples' values; 0 for equal samples.
    """
    flat = [tf.reshape(sample, (sample.shape[0], -1)) for sample in (one, other)]
    first, second = (tf.sort(sample @ directions, axis=0) for sample in flat)
    return tf.sqrt(tf.reduce_mean(tf.square(first - second)))
