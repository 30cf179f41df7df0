"""The training step of a generator and a discriminator."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from expt.train.accumulation import Compute, Computed, over_parts
from expt.train.adversarial_losses import adversarial_losses
from expt.train.input.batch import Batch, loss_weight
from expt.train.objective import Function
from expt.train.step import (
    Stateless,
    Step,
    StepScalars,
    apply_gradients,
    assign,
    states_of,
)


def make_adversarial_step(
    generator: keras.Model,
    discriminator: keras.Model,
    loss: Function,
    generator_optimizer: keras.optimizers.Optimizer,
    discriminator_optimizer: keras.optimizers.Optimizer,
    noise_seed: keras.random.SeedGenerator,
    num_parts: int = 1,
) -> Step:
    """Returns the step of an adversarial pair, which updates both networks simultaneously.

    The discriminator learns to distinguish the batch (targets of 1) from generated examples
    (targets of 0); the generator learns to have its examples classified as real (1). This is the
    non-saturating loss of I. Goodfellow et al., "Generative Adversarial Nets", arXiv:1406.2661,
    section 3. Both gradients are computed at the weights before the step. The scalar `loss` is
    that of the generator; `discriminator_loss` is the mean of the discriminator's losses on real
    and on generated examples.

    Args:
        generator: Maps noise, shape [batch, latent], to examples.
        discriminator: Maps examples to logits, shape [batch, 1].
        loss: Returns one value per example, from targets of 0 or 1 and logits.
        generator_optimizer: Updates the generator; must be built.
        discriminator_optimizer: Updates the discriminator; must be built.
        noise_seed: The seed generator of the noise, which is standard normal.
        num_parts: The number of equal parts (micro-batches) of a batch over which gradients are
            accumulated.
    """
    generator_weights = generator.trainable_variables
    discriminator_weights = discriminator.trainable_variables
    variables = [*generator_weights, *discriminator_weights]
    states = [*states_of([generator, discriminator]), noise_seed.state]

    def gradients_of(
        weights: Sequence[tf.Tensor], batch: Batch, state_values: Sequence[tf.Tensor]
    ) -> Computed:
        # Persistent, since two losses are differentiated, each with respect to the weights of one
        # network.
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with tape, Stateless(variables, weights, states, state_values) as scope:
            tape.watch(weights)
            pair = adversarial_losses(generator, discriminator, loss, batch, noise_seed)
            generator_loss = pair.generator
            discriminator_loss = (pair.real + pair.generated) / 2
            scaled_generator_loss = generator_optimizer.scale_loss(generator_loss)
            scaled_discriminator_loss = discriminator_optimizer.scale_loss(discriminator_loss)
        sources = scope.weights()
        gradients = [
            *tape.gradient(scaled_generator_loss, sources[: len(generator_weights)]),
            *tape.gradient(scaled_discriminator_loss, sources[len(generator_weights) :]),
        ]
        means = [generator_loss, discriminator_loss, *gradients]
        # `loss_weight` does not read the values, so any tensor will do that is not a pair of values
        # and weights.
        weight = loss_weight(tf.zeros(batch.inputs.shape[0]), batch.weights)
        return Computed(weight, means, [], scope.states())

    def update(computed: Computed) -> StepScalars:
        assign(states, computed.states)
        _, _, *gradients = computed.means
        of_generator = apply_gradients(
            generator_optimizer, gradients[: len(generator_weights)], generator_weights
        )
        of_discriminator = apply_gradients(
            discriminator_optimizer, gradients[len(generator_weights) :], discriminator_weights
        )
        return {
            "grad_norm": of_generator["grad_norm"],
            "discriminator_grad_norm": of_discriminator["grad_norm"],
            "learning_rate": of_generator["learning_rate"],
        }

    def losses(_batch: Batch, computed: Computed) -> StepScalars:
        generator_loss, discriminator_loss, *_ = computed.means
        return {"loss": generator_loss, "discriminator_loss": discriminator_loss}

    compute: Compute = gradients_of
    if num_parts > 1:
        means_like = [tf.constant(0.0), tf.constant(0.0), *variables]
        compute = over_parts(gradients_of, num_parts, means_like)
    return Step(compute, update, losses, variables, states)
