"""An adversarial pair: a generator that learns from a discriminator's judgement."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.train.compilation import compiled
from expt.train.evaluation import Evaluate, on_host
from expt.train.input.batch import Batch, mean_loss
from expt.train.loss_checks import check_loss
from expt.train.objective import Objective
from expt.train.optimizer import MakeOptimizer
from expt.train.preflight import check_gradients, check_values, unchanged
from expt.train.step import make_adversarial_step

_MOST_EXAMPLES = 2_000
_PROJECTIONS = 128
_SEED = 0  # of the noise that evaluations generate from: the same at every step


class Pair(Protocol):
    """Two networks: from noise [batch, latent] to examples, and from those to logits [batch, 1]."""

    generator: keras.Model
    discriminator: keras.Model


class Adversarial:
    """Two networks against each other, each with an optimizer; a `Learner`.

    An evaluation generates from the same noise every time, and reports both losses and the
    `distance` of the generated examples from the split's: a generator's loss says how it stands
    against its discriminator, not how good it is.
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
        of_generator, of_discriminator = self.optimizers
        self.step = make_adversarial_step(
            self.model,
            self._discriminator,
            self._loss,
            of_generator,
            of_discriminator,
            noise_seed,
            objective.num_parts,
        )

    def check(self, batch: Batch, dataset: Dataset) -> Sequence[str]:
        """Checks both networks, the loss and the gradients on a batch."""
        size = len(batch.inputs)
        noise = tf.random.stateless_normal((size, self.model.input_shape[-1]), (_SEED, 0))
        with unchanged(self.networks), tf.GradientTape(persistent=True) as tape:
            generated = _one_tensor(self.model(noise, training=True), "generator")
            if tuple(generated.shape) != tuple(batch.inputs.shape):
                raise UserError(
                    f"model: it generates the shape {tuple(generated.shape)}; data={dataset.name} "
                    f"has {tuple(batch.inputs.shape)}."
                )
            judged = _one_tensor(self._discriminator(generated, training=True), "discriminator")
            logits = tf.cast(judged, tf.float32)
            if tuple(logits.shape) != (size, 1):
                raise UserError(
                    f"model: its discriminator gave the shape {tuple(logits.shape)} for a batch; "
                    f"expected one logit for each example, {(size, 1)}."
                )
            values = check_values(self._loss(tf.ones((size, 1)), logits), size)
        for network in self.networks:
            check_gradients(tape, values, network)
        targets = tf.cast(tf.range(size)[:, None] % 2, tf.float32)
        return check_loss(self._loss, targets, logits)

    def make_evaluate(self, split: Split, mode: str) -> Evaluate:
        """Returns the function that compares generated examples with a split's first 2,000."""
        real = tf.constant(split.first(_MOST_EXAMPLES), tf.float32)
        noise, directions = _draw(self.model, real)

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

        function = compiled(evaluate, mode)
        return lambda: on_host(*function())

    @staticmethod
    def evaluate_saved(model: keras.Model, objective: Objective, split: Split) -> Evaluate:
        """Returns the function that tells a generator's distance; no discriminator is saved."""
        del objective
        real = tf.constant(split.first(_MOST_EXAMPLES), tf.float32)
        noise, directions = _draw(model, real)

        def evaluate() -> tuple[dict[str, float], NDArray[np.float32]]:
            generated = tf.cast(model(noise, training=False), tf.float32)
            return on_host({"distance": sliced_distance(real, generated, directions)}, generated)

        return evaluate


def _one_tensor(outputs: Any, network: str) -> tf.Tensor:
    """Returns the outputs of a network.

    Raises:
        UserError: They are not one tensor.
    """
    if not tf.is_tensor(outputs):
        raise UserError(
            f"model: its {network} returns a {type(outputs).__name__}; expected one tensor."
        )
    return outputs


def _draw(generator: keras.Model, real: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the noise to generate from, and directions for the distance.

    Not where XLA compiles: its random numbers are others.
    """
    noise = tf.random.stateless_normal((real.shape[0], generator.input_shape[-1]), (_SEED, 0))
    return noise, random_directions(math.prod(real.shape[1:]))


def random_directions(size: int) -> tf.Tensor:
    """Returns random unit vectors, always the same, shape [size, directions]."""
    directions = tf.random.stateless_normal((size, _PROJECTIONS), (_SEED, 1))
    return tf.math.l2_normalize(directions, axis=0)


def sliced_distance(one: tf.Tensor, other: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
    """The sliced Wasserstein distance between two samples of the same size.

    √ of the mean, over directions u, of ∫ (F⁻¹_u - G⁻¹_u)², which for samples is the mean squared
    difference of the sorted projections. Source: N. Bonneel et al., "Sliced and Radon Wasserstein
    Barycenters of Measures", JMIV 51, 2015.

    Args:
        one: Shape [examples, ...].
        other: The same shape.
        directions: Unit vectors, shape [size of an example, directions].

    Returns:
        A scalar in the unit of the examples' values; 0 for equal samples.
    """
    flat = [tf.reshape(sample, (sample.shape[0], -1)) for sample in (one, other)]
    first, second = (tf.sort(sample @ directions, axis=0) for sample in flat)
    return tf.sqrt(tf.reduce_mean(tf.square(first - second)))
