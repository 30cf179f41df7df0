"""The training step: the only GradientTape of training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

Function = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""A loss or metric: a function of targets and outputs."""

Step = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
"""A step: a function of a batch's inputs and targets that returns scalars by metric name."""


def make_train_step(
    model: keras.Model,
    loss: Function,
    optimizer: keras.optimizers.Optimizer,
    metrics: Mapping[str, Function],
) -> Step:
    """Returns the step of supervised training, θ ← θ - α ∇ mean(loss), for any optimizer's rule.

    The step logs nothing and saves nothing. The scalars it returns are those of the weights
    before the update: `loss` (with the model's own regularisation), the metrics on this batch,
    `grad_norm` (the global L2 norm) and the `learning_rate` of the update.

    Args:
        model: Maps inputs to outputs.
        loss: Gives one value for each example.
        optimizer: Updates the model's trainable variables; must be built.
        metrics: By name, functions that give one number for a batch.
    """
    variables = model.trainable_variables
    gradients_of = _make_gradients(model, loss, optimizer, variables)

    def step(inputs: tf.Tensor, targets: tf.Tensor) -> dict[str, tf.Tensor]:
        gradients, value, outputs = gradients_of(inputs, targets)
        learning_rate = tf.convert_to_tensor(optimizer.learning_rate)
        # An optimizer that scales the loss unscales the gradients in `apply`.
        loss_scale = optimizer.scale_loss(tf.constant(1.0))
        optimizer.apply(gradients, variables)
        return {
            "loss": value,
            **{name: metric(targets, outputs) for name, metric in metrics.items()},
            "grad_norm": tf.linalg.global_norm(gradients) / loss_scale,
            "learning_rate": learning_rate,
        }

    return step


def _make_gradients(
    model: keras.Model,
    loss: Function,
    optimizer: keras.optimizers.Optimizer,
    variables: Sequence[Any],
) -> Callable[[tf.Tensor, tf.Tensor], tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]]:
    """Returns the function of a batch that gives gradients, loss and outputs, and updates none."""

    def gradients_of(
        inputs: tf.Tensor, targets: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            value = tf.add_n([tf.reduce_mean(loss(targets, outputs)), *model.losses])
            scaled = optimizer.scale_loss(value)
        return tape.gradient(scaled, variables), value, outputs

    return gradients_of
