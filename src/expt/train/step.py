"""The training step. It consists of three functions: gradients, update and metrics.

`gradients` is a pure function of weights, batch and states. `update` is the only one that assigns
to variables. `metrics` computes the metrics of the batch from the outputs before the update.

Training uses only the gradients that are computed here and in `expt.train.adversarial_step`. The
GradientTapes elsewhere (checks, probes, terms of a loss) never update a weight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from expt.train.accumulation import Compute, Computed, over_parts
from expt.train.compilation import convert
from expt.train.input.batch import Batch, loss_weight, mean_loss, mixed
from expt.train.objective import Function, measure, output_type, outputs_of, penalty_of

StepScalars = dict[str, tf.Tensor]
"""The scalars of one training step, by metric name."""


class Term(NamedTuple):
    """A term of a loss, such as the penalty of a layer.

    Attributes:
        value: The value, a scalar.
        gradients: The gradient for each weight; None where the term does not depend on it.
    """

    value: tf.Tensor
    gradients: Sequence[tf.Tensor | None]


Terms = Callable[[Sequence[tf.Tensor], Batch, Sequence[tf.Tensor]], Mapping[str, Term]]
"""Returns terms by name; a pure function of the values of weights, a batch, and those of states."""


@dataclass(frozen=True, eq=False)
class Step:
    """A training step: trains on a batch and returns scalars, among them `loss`.

    Attributes:
        gradients: Computes the losses, outputs, gradients and new states from the values of
            `weights`, a batch, and the values of `states`. A pure function.
        update: Applies the result of `gradients` to weights, optimizers and states. Returns
            scalars about the update, such as the norm of the gradients.
        metrics: Returns the losses and metrics of a batch from the result of `gradients`.
        weights: The variables that gradients are computed for.
        states: The variables that a forward pass changes, such as moving averages and the seeds of
            random layers.
        terms: Computes the terms of the losses, each with its gradient, from the same arguments as
            `gradients`; None for a step without separate terms. Training does not use it.
    """

    gradients: Compute
    update: Callable[[Computed], StepScalars]
    metrics: Callable[[Batch, Computed], StepScalars]
    weights: Sequence[keras.Variable]
    states: Sequence[keras.Variable]
    terms: Terms | None = None

    def __call__(self, batch: Batch) -> StepScalars:
        """Trains on a batch, and returns its scalars by name."""
        computed = self.gradients(values_of(self.weights), batch, values_of(self.states))
        return {**self.metrics(batch, computed), **self.update(computed)}

    @property
    def parts(self) -> Sequence[Callable[..., Any]]:
        """The functions of the step."""
        return self.gradients, self.update, self.metrics

    def with_preparation(self, prepare: Callable[[Batch], Batch]) -> "Step":
        """Returns a step that applies `prepare` to each batch before training on it.

        Args:
            prepare: A pure function; it is applied to the same batch twice.
        """
        terms, prepare = self.terms, convert(prepare)
        return replace(
            self,
            gradients=lambda weights, batch, states: self.gradients(
                weights, prepare(batch), states
            ),
            metrics=lambda batch, computed: self.metrics(prepare(batch), computed),
            terms=terms and (lambda weights, batch, states: terms(weights, prepare(batch), states)),
        )


def values_of(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """Returns the current values of variables."""
    return [tf.convert_to_tensor(variable.value) for variable in variables]


class Stateless:
    """A context in which models use given values of their variables, and change no variable.

    Within the context, a variable reads as its given value, or as the last value assigned to it
    there.

    Args:
        weights: The variables that gradients are computed for.
        weight_values: The value of each.
        states: The variables that a forward pass may change. For a variable that is also
            in `weights`, the value there counts.
        state_values: The value of each.
    """

    def __init__(
        self,
        weights: Sequence[keras.Variable],
        weight_values: Sequence[tf.Tensor],
        states: Sequence[keras.Variable],
        state_values: Sequence[tf.Tensor],
    ) -> None:
        self._weights, self._states = weights, states
        # Weights come last, since the last value of a variable in both lists counts.
        values = [
            *zip(states, state_values, strict=True),
            *zip(weights, weight_values, strict=True),
        ]
        self._scope = keras.StatelessScope(values, collect_losses=True)

    def __enter__(self) -> "Stateless":
        self._scope.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._scope.__exit__(*error)

    def weights(self) -> list[tf.Tensor]:
        """Returns the current values of the weights, which a layer may have assigned to."""
        return [self._scope.get_current_value(variable) for variable in self._weights]

    def states(self) -> list[tf.Tensor]:
        """Returns the current values of the states."""
        return [self._scope.get_current_value(variable) for variable in self._states]


def states_of(networks: Sequence[keras.Model]) -> list[keras.Variable]:
    """Returns the variables of models that a forward pass may change."""
    found = []
    for network in networks:
        found += network.non_trainable_variables
        # Keras has no public function that lists nested layers.
        for layer in network._flatten_layers():
            # SpectralNormalization assigns the normalized kernel to a trainable variable in each
            # forward pass.
            if isinstance(layer, keras.layers.SpectralNormalization):
                found.append(layer.kernel)
    # A frozen kernel is in the list twice. Keyed by id, since `==` of variables is elementwise.
    return list({id(variable): variable for variable in found}.values())


def make_train_step(
    model: keras.Model,
    loss: Function,
    optimizer: keras.optimizers.Optimizer,
    metrics: Mapping[str, Function],
    num_parts: int = 1,
) -> Step:
    """Returns the step of supervised training: θ ← θ - α ∇ mean(loss), or another optimizer's rule.

    The step returns scalars computed with the weights before the update: `loss` (including the
    penalties that the model adds), the metrics of the batch, `grad_norm` (the global L2 norm before
    any clipping), and the `learning_rate` of the update.

    Args:
        model: Maps inputs to outputs.
        loss: Returns one value per example, or a pair of values and their weights.
        optimizer: Updates the model's trainable variables; must be built.
        metrics: By name, functions that return one number for a batch. Those with an argument
            `weights` receive the weights of the examples.
        num_parts: The number of equal parts (micro-batches) of a batch over which gradients are
            accumulated.
    """
    variables, states = model.trainable_variables, states_of([model])

    def gradients_of(
        weights: Sequence[tf.Tensor], batch: Batch, state_values: Sequence[tf.Tensor]
    ) -> Computed:
        tape = tf.GradientTape(watch_accessed_variables=False)
        with tape, Stateless(variables, weights, states, state_values) as scope:
            tape.watch(weights)
            outputs = outputs_of(model, batch.inputs, training=True)
            values = mixed_loss(loss, batch, outputs)
            value = mean_loss(values, batch.weights) + penalty_of(model)
            # Has no effect unless the optimizer scales the loss, as for mixed_float16, where it
            # keeps small gradients from underflowing to 0.
            scaled = optimizer.scale_loss(value)
        # With respect to the values at the end of the forward pass: a layer that assigns to its own
        # weight, such as SpectralNormalization, computes its output from the assigned value.
        gradients = tape.gradient(scaled, scope.weights())
        weight = loss_weight(values, batch.weights)
        return Computed(weight, [value, *gradients], [outputs], scope.states())

    def update(computed: Computed) -> StepScalars:
        assign(states, computed.states)
        return apply_gradients(optimizer, computed.means[1:], variables)

    def measured(batch: Batch, computed: Computed) -> StepScalars:
        # Uses the outputs of `gradients`, since a second forward pass would double its cost.
        values = measure(metrics, _main_targets(batch), computed.outputs[0], batch.weights)
        return {"loss": computed.means[0], **values}

    compute: Compute = gradients_of
    # A single part needs no loop, which would only cost time.
    if num_parts > 1:
        means_like = [tf.constant(0.0), *variables]
        outputs_like = [tf.TensorSpec(model.outputs[0].shape, output_type(model))]
        compute = over_parts(gradients_of, num_parts, means_like, outputs_like)
    return Step(compute, update, measured, variables, states)


def assign(variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]) -> None:
    """Assigns new values to variables."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def mixed_loss(loss: Function, batch: Batch, outputs: tf.Tensor) -> Any:
    """Returns the loss of each example; with mixup, the mixture of the losses of both targets."""
    values = loss(batch.targets, outputs)
    if batch.mixed_targets is None or batch.mixed_share is None:
        return values
    return mixed(values, loss(batch.mixed_targets, outputs), batch.mixed_share)


def _main_targets(batch: Batch) -> tf.Tensor:
    """Returns the targets for the metrics; with mixup, those with the larger share."""
    if batch.mixed_targets is None or batch.mixed_share is None:
        return batch.targets
    return tf.where(batch.mixed_share > 0.5, batch.mixed_targets, batch.targets)


def apply_gradients(
    optimizer: keras.optimizers.Optimizer, gradients: list[tf.Tensor], variables: Sequence[Any]
) -> dict[str, tf.Tensor]:
    """Updates the variables; returns the gradients' norm and the learning rate of the update."""
    # Read before `apply`, which advances the schedule by one step.
    learning_rate = _learning_rate(optimizer)
    # An optimizer that scales the loss unscales the gradients only inside `apply`.
    loss_scale = optimizer.scale_loss(tf.constant(1.0))
    optimizer.apply(gradients, variables)
    return {
        "grad_norm": tf.linalg.global_norm(gradients) / loss_scale,
        "learning_rate": learning_rate,
    }


def _learning_rate(optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Returns the learning rate of the next update, before any adaptation per weight."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    learning_rate = tf.convert_to_tensor(inner.learning_rate)
    # Keras caps Adafactor's rate at 1 / √step, even with relative_step=False.
    if isinstance(inner, keras.optimizers.Adafactor):
        return tf.minimum(learning_rate, tf.math.rsqrt(tf.cast(inner.iterations + 1, tf.float32)))
    return learning_rate
