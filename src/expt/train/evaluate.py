"""Evaluation of a whole split, exactly."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.train.block import compiled
from expt.train.step import Function

_BATCH_SIZE = 512

Evaluate = Callable[[], tuple[dict[str, float], NDArray[np.float32]]]
"""Gives the loss and metrics of a split by name, and the model's outputs [examples, outputs]."""


def make_evaluate(
    model: keras.Model, loss: Function, metrics: Mapping[str, Function], split: Split, mode: str
) -> Evaluate:
    """Returns the function that evaluates the model on a split as it stands.

    The model runs in batches; loss and metrics are then computed once from the outputs of the
    whole split, so that a smaller last batch weighs what it should. The loss includes penalties
    on weights, as the training loss does.

    Args:
        model: Maps inputs to outputs.
        loss: Gives one value for each example.
        metrics: By name, functions that give one number for a split.
        split: What to evaluate on.
        mode: `graph`, `xla` or `eager`.
    """
    inputs, targets = tf.constant(split.inputs), tf.constant(split.targets)
    num_full, remainder = divmod(len(split), _BATCH_SIZE)

    def predict() -> tf.Tensor:
        parts = []
        if num_full:
            batches = tf.reshape(
                inputs[: num_full * _BATCH_SIZE], (num_full, _BATCH_SIZE, *inputs.shape[1:])
            )
            outputs = tf.map_fn(
                lambda batch: model(batch, training=False),
                batches,
                fn_output_signature=model.compute_dtype,
                parallel_iterations=1,
            )
            parts.append(tf.reshape(outputs, (-1, *outputs.shape[2:])))
        if remainder:
            parts.append(model(inputs[num_full * _BATCH_SIZE :], training=False))
        return tf.cast(tf.concat(parts, axis=0), tf.float32)

    def evaluate() -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        outputs = predict()
        penalties = [v.regularizer(v) for v in model.trainable_variables if v.regularizer]
        value = tf.add_n([tf.reduce_mean(loss(targets, outputs)), *penalties])
        return (
            {"loss": value, **{name: metric(targets, outputs) for name, metric in metrics.items()}},
            outputs,
        )

    function = compiled(evaluate, mode)
    if mode != "eager":
        function.get_concrete_function()  # type: ignore[attr-defined]

    def evaluate_on_host() -> tuple[dict[str, float], NDArray[np.float32]]:
        values, outputs = function()
        return {name: float(value) for name, value in values.items()}, outputs.numpy()

    return evaluate_on_host
