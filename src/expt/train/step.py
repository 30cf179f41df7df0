"""The training steps, each in three functions; the only GradientTapes of training.

The gradients are a function of weights, batch and states, which changes nothing; the update is what
changes variables; the metrics are those of the batch before it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from expt.train.accumulation import Compute, Computed, over_parts
from expt.train.input.batch import Batch, loss_weight, mean_loss, mixed
from expt.train.objective import Function, measure, output_type, outputs_of, penalty_of

Scalars = dict[str, tf.Tensor]
"""Scalars by metric name."""


@dataclass(frozen=True, eq=False)
class Step:
    """A training step: a function of a batch that returns scalars, `loss` among them.

    Attributes:
        gradients: Computes losses, outputs, gradients and new states from the values of `weights`,
            a batch, and the values of `states`, and changes nothing.
        update: Changes weights, optimizers and states by what `gradients` returned; returns
            scalars on the update, such as the gradients' norm.
        metrics: Returns the losses and metrics of a batch from what `gradients` returned.
        weights: The variables that gradients are taken for.
        states: The variables that a forward pass changes: moving averages, random seeds.
    """

    gradients: Compute
    update: Callable[[Computed], Scalars]
    metrics: Callable[[Batch, Computed], Scalars]
    weights: Sequence[keras.Variable]
    states: Sequence[keras.Variable]

    def __call__(self, batch: Batch) -> Scalars:
        """Trains on a batch."""
        computed = self.gradients(values_of(self.weights), batch, values_of(self.states))
        return {**self.metrics(batch, computed), **self.update(computed)}

    def of(self, prepare: Callable[[Batch], Batch]) -> "Step":
        """Returns the step that prepares each batch first."""
        return replace(
            self,
            gradients=lambda weights, batch, states: self.gradients(
                weights, prepare(batch), states
            ),
            metrics=lambda batch, computed: self.metrics(prepare(batch), computed),
        )


def values_of(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """Returns the values that variables have now."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


class Stateless:
    """Lets models run with given values of their variables, and changes none of them.

    Within the block, reading a variable yields its given value, or what was assigned to it there.

    Args:
        weights: Variables with their values.
        states: Others with theirs; a weight may be among them.
    """

    def __init__(
        self,
        weights: Sequence[tuple[keras.Variable, tf.Tensor]],
        states: Sequence[tuple[keras.Variable, tf.Tensor]],
    ) -> None:
        self._weights = [variable for variable, _ in weights]
        self._states = [variable for variable, _ in states]
        self._scope = keras.StatelessScope([*states, *weights], collect_losses=True)

    def __enter__(self) -> "Stateless":
        self._scope.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._scope.__exit__(*error)

    def weights(self) -> list[tf.Tensor]:
        """The values of the weights at the end, which differ if a layer assigned to its own."""
        return [self._scope.get_current_value(variable) for variable in self._weights]

    def states(self) -> list[tf.Tensor]:
        """The values of the states at the end."""
        return [self._scope.get_current_value(variable) for variable in self._states]


def states_of(networks: Sequence[keras.Model]) -> list[keras.Variable]:
    """Returns the variables of models that a forward pass may change."""
    found = []
    for network in networks:
        found += network.non_trainable_variables
        for layer in network._flatten_layers():  # Keras offers no other
            if isinstance(layer, keras.layers.SpectralNormalization):
                found.append(layer.kernel)  # which it replaces by the normalised one
    return list({id(variable): variable for variable in found}.values())


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
    variables, states = model.trainable_variables, states_of([model])

    def gradients_of(
        weights: Sequence[tf.Tensor], batch: Batch, state_values: Sequence[tf.Tensor]
    ) -> Computed:
        given = (
            list(zip(variables, weights, strict=True)),
            list(zip(states, state_values, strict=True)),
        )
        with tf.GradientTape(watch_accessed_variables=False) as tape, Stateless(*given) as run:
            tape.watch(weights)
            outputs = outputs_of(model, batch.inputs, training=True)
            values = _mixed_loss(loss, batch, outputs)
            value = mean_loss(values, batch.weights) + penalty_of(model)
            scaled = optimizer.scale_loss(value)
        gradients = tape.gradient(scaled, run.weights())
        weight = loss_weight(values, batch.weights)
        return Computed(weight, [value, *gradients], [outputs], run.states())

    def update(computed: Computed) -> Scalars:
        _assign(states, computed.states)
        return _apply(optimizer, computed.means[1:], variables)

    def measured(batch: Batch, computed: Computed) -> Scalars:
        values = measure(metrics, _main_targets(batch), computed.outputs[0], batch.weights)
        return {"loss": computed.means[0], **values}

    compute: Compute = gradients_of
    if num_parts > 1:
        means_like = [tf.constant(0.0), *variables]
        outputs_like = [tf.TensorSpec(model.outputs[0].shape, output_type(model))]
        compute = over_parts(gradients_of, num_parts, means_like, outputs_like)
    return Step(compute, update, measured, variables, states)


def _assign(variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


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
    variables = [*of_one, *of_other]
    states = [*states_of([generator, discriminator]), noise_seed.state]

    def gradients_of(
        weights: Sequence[tf.Tensor], batch: Batch, state_values: Sequence[tf.Tensor]
    ) -> Computed:
        size, counts = batch.inputs.shape[0], batch.weights
        real, fake = tf.ones((size, 1)), tf.zeros((size, 1))
        given = (
            list(zip(variables, weights, strict=True)),
            list(zip(states, state_values, strict=True)),
        )
        tape = tf.GradientTape(persistent=True, watch_accessed_variables=False)
        with tape, Stateless(*given) as run:
            tape.watch(weights)
            noise = keras.random.normal((size, generator.input_shape[-1]), seed=noise_seed)
            generated = generator(noise, training=True)
            of_real = tf.cast(discriminator(batch.inputs, training=True), tf.float32)
            of_generated = tf.cast(discriminator(generated, training=True), tf.float32)
            fooling = mean_loss(loss(real, of_generated), counts)
            telling = mean_loss(loss(real, of_real), counts)
            telling = (telling + mean_loss(loss(fake, of_generated), counts)) / 2
            scaled_fooling = generator_optimizer.scale_loss(fooling)
            scaled_telling = discriminator_optimizer.scale_loss(telling)
        sources = run.weights()
        gradients = [
            *tape.gradient(scaled_fooling, sources[: len(of_one)]),
            *tape.gradient(scaled_telling, sources[len(of_one) :]),
        ]
        means = [fooling, telling, *gradients]
        return Computed(loss_weight(fake, counts), means, [], run.states())

    def update(computed: Computed) -> Scalars:
        _assign(states, computed.states)
        _, _, *gradients = computed.means
        of_generator = _apply(generator_optimizer, gradients[: len(of_one)], of_one)
        of_discriminator = _apply(discriminator_optimizer, gradients[len(of_one) :], of_other)
        return {
            "grad_norm": of_generator["grad_norm"],
            "discriminator_grad_norm": of_discriminator["grad_norm"],
            "learning_rate": of_generator["learning_rate"],
        }

    def losses(_batch: Batch, computed: Computed) -> Scalars:
        fooling, telling, *_ = computed.means
        return {"loss": fooling, "discriminator_loss": telling}

    compute: Compute = gradients_of
    if num_parts > 1:
        means_like = [tf.constant(0.0), tf.constant(0.0), *variables]
        compute = over_parts(gradients_of, num_parts, means_like)
    return Step(compute, update, losses, variables, states)
