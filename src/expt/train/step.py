"""The training steps: the only GradientTapes of training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from expt.train.accumulation import Compute, Computed, over_parts
from expt.train.input.batch import Batch, loss_weight, mean_loss, mixed
from expt.train.objective import Function, measure, output_type, outputs_of, penalty_of

Step = Callable[[Batch], dict[str, tf.Tensor]]
"""A step: a function of a batch that returns scalars by metric name, `loss` among them."""


def make_train_step(
    model: keras.Model,
    loss: Function,
    optimizer: keras.optimizers.Optimizer,
    metrics: Mapping[str, Function],
    num_parts: int = 1,
) -> Step:
    """Returns the step of supervised training, θ ← θ - α ∇ mean(loss), for any optimizer's rule.

    The step logs nothing and saves nothing. The scalars it returns are those of the weights
    before the update: `loss` (with all that the model adds to it), the metrics on this batch,
    `grad_norm` (the global L2 norm, before any clipping) and the `learning_rate` of the update.

    Args:
        model: Maps inputs to outputs.
        loss: Gives one value for each example, or a pair of values and their weights.
        optimizer: Updates the model's trainable variables; must be built.
        metrics: By name, functions that give one number for a batch; those that have an argument
            `weights` get the weights of the batch.
        num_parts: In how many parts the gradient of a batch is computed, one after the other.
    """
    variables = model.trainable_variables
    gradients_of = _make_gradients(model, loss, optimizer, variables)
    if num_parts > 1:
        means_like = [tf.constant(0.0), *variables]
        outputs_like = [tf.TensorSpec(model.outputs[0].shape, output_type(model))]
        gradients_of = over_parts(gradients_of, num_parts, means_like, outputs_like)

    def step(batch: Batch) -> dict[str, tf.Tensor]:
        _, (value, *gradients), (outputs,) = gradients_of(batch)
        applied = _apply(optimizer, gradients, variables)
        targets = _main_targets(batch)
        values = measure(metrics, targets, outputs, batch.weights)
        return {"loss": value, **values, **applied}

    return step


def _make_gradients(
    model: keras.Model,
    loss: Function,
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[Any],
) -> Compute:
    """Returns the function of a batch that returns loss and gradients, and the outputs."""

    def gradients_of(batch: Batch) -> Computed:
        with tf.GradientTape() as tape:
            outputs = outputs_of(model, batch.inputs, training=True)
            values = _mixed_loss(loss, batch, outputs)
            value = mean_loss(values, batch.weights) + penalty_of(model)
            scaled = optimizer.scale_loss(value)
        gradients = tape.gradient(scaled, variables)
        return Computed(loss_weight(values, batch.weights), [value, *gradients], [outputs])

    return gradients_of


def _mixed_loss(loss: Function, batch: Batch, outputs: tf.Tensor) -> Any:
    """Returns the loss of each example; for mixed inputs the mix of both targets' losses."""
    values = loss(batch.targets, outputs)
    if batch.mixed_targets is None or batch.mixed_share is None:
        return values
    return mixed(values, loss(batch.mixed_targets, outputs), batch.mixed_share)


def _main_targets(batch: Batch) -> tf.Tensor:
    """Returns the targets of the larger share, which metrics compare with."""
    if batch.mixed_targets is None or batch.mixed_share is None:
        return batch.targets
    return tf.where(batch.mixed_share > 0.5, batch.mixed_targets, batch.targets)


def _apply(
    optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor], variables: Sequence[Any]
) -> dict[str, tf.Tensor]:
    """Updates the variables; returns the gradients' norm and the learning rate of the update."""
    learning_rate = _learning_rate(optimizer)
    # An optimizer that scales the loss unscales the gradients in `apply`.
    loss_scale = optimizer.scale_loss(tf.constant(1.0))
    optimizer.apply(gradients, variables)
    return {
        "grad_norm": tf.linalg.global_norm(gradients) / loss_scale,
        "learning_rate": learning_rate,
    }


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The learning rate of the next update, without what an optimizer adapts for each weight."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # under a loss scale
    learning_rate = tf.convert_to_tensor(inner.learning_rate)
    if isinstance(inner, keras.optimizers.Adafactor):  # whatever its relative_step is
        return tf.minimum(learning_rate, tf.math.rsqrt(tf.cast(inner.iterations + 1, tf.float32)))
    return learning_rate


def make_adversarial_step(
    generator: keras.Model,
    discriminator: keras.Model,
    loss: Function,
    generator_optimizer: keras.optimizers.Optimizer,
    discriminator_optimizer: keras.optimizers.Optimizer,
    noise_seed: keras.random.SeedGenerator,
    num_parts: int = 1,
) -> Step:
    """Returns the step of an adversarial pair: both networks are updated, each by its optimizer.

    The discriminator learns to tell the batch (targets of 1) from generated examples (0), the
    generator to have its examples taken for real (1): the non-saturating loss of I. Goodfellow
    et al., "Generative Adversarial Nets", arXiv:1406.2661, section 3. Both gradients are of the
    weights before the step. `loss` is the generator's, `discriminator_loss` the mean of the
    discriminator's two.

    Args:
        generator: Maps noise, shape [batch, latent], to examples.
        discriminator: Maps examples to logits, shape [batch, 1].
        loss: Gives one value for each example, from targets of 0 or 1 and logits.
        generator_optimizer: Updates the generator; must be built.
        discriminator_optimizer: Updates the discriminator; must be built.
        noise_seed: Draws the noise, from the standard normal distribution.
        num_parts: In how many parts the gradients of a batch are computed, one after the other.
    """
    of_one, of_other = generator.trainable_variables, discriminator.trainable_variables

    def gradients_of(batch: Batch) -> Computed:
        size, weights = batch.inputs.shape[0], batch.weights
        real, fake = tf.ones((size, 1)), tf.zeros((size, 1))
        noise = keras.random.normal((size, generator.input_shape[-1]), seed=noise_seed)
        with tf.GradientTape(persistent=True) as tape:
            generated = generator(noise, training=True)
            of_real = tf.cast(discriminator(batch.inputs, training=True), tf.float32)
            of_generated = tf.cast(discriminator(generated, training=True), tf.float32)
            fooling = mean_loss(loss(real, of_generated), weights)
            telling = mean_loss(loss(real, of_real), weights)
            telling = (telling + mean_loss(loss(fake, of_generated), weights)) / 2
            scaled_fooling = generator_optimizer.scale_loss(fooling)
            scaled_telling = discriminator_optimizer.scale_loss(telling)
        gradients = tape.gradient(scaled_fooling, of_one), tape.gradient(scaled_telling, of_other)
        means = [fooling, telling, *gradients[0], *gradients[1]]
        return Computed(loss_weight(fake, weights), means, [])

    compute: Compute = gradients_of
    if num_parts > 1:
        means_like = [tf.constant(0.0), tf.constant(0.0), *of_one, *of_other]
        compute = over_parts(gradients_of, num_parts, means_like)

    def step(batch: Batch) -> dict[str, tf.Tensor]:
        _, (fooling, telling, *gradients), _ = compute(batch)
        of_generator = _apply(generator_optimizer, gradients[: len(of_one)], of_one)
        of_discriminator = _apply(discriminator_optimizer, gradients[len(of_one) :], of_other)
        return {
            "loss": fooling,
            "discriminator_loss": telling,
            "grad_norm": of_generator["grad_norm"],
            "discriminator_grad_norm": of_discriminator["grad_norm"],
            "learning_rate": of_generator["learning_rate"],
        }

    return step
