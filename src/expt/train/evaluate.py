"""Evaluation of a whole split, exactly."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.train.batch import weighted_mean
from expt.train.block import compiled
from expt.train.feed import is_streamed, read_in_order
from expt.train.objective import Objective, output_type, outputs_of

_MOST_EXAMPLES, _MOST_NUMBERS = 512, 2**21  # of inputs at once: a few megabytes

Evaluate = Callable[[], tuple[dict[str, float], NDArray[np.floating[Any]]]]
"""Gives the loss and metrics of a split by name, and the predictions, shape [examples, ...]."""


def make_evaluate(
    model: keras.Model,
    objective: Objective,
    split: Split,
    mode: str,
    *,
    reconstructs: bool = False,
) -> Evaluate:
    """Returns the function that evaluates the model on a split as it stands.

    The model runs in batches; loss and metrics are then computed once from the outputs of the
    whole split, so that a smaller last batch weighs what it should. The loss is weighted as in
    training and includes penalties on weights, as the training loss does; metrics count all
    examples alike.

    Args:
        model: Maps inputs to outputs.
        objective: What to compute.
        split: What to evaluate on.
        mode: `graph`, `xla` or `eager`.
        reconstructs: Whether the targets are the inputs themselves.
    """
    size = math.prod(split.inputs.shape[1:])
    batch_size = max(1, min(_MOST_EXAMPLES, _MOST_NUMBERS // size))
    make = _make_streamed if is_streamed(split) else _make_in_memory
    return make(model, objective, split, mode, batch_size, reconstructs)


def _make_in_memory(
    model: keras.Model,
    objective: Objective,
    split: Split,
    mode: str,
    batch_size: int,
    reconstructs: bool,
) -> Evaluate:
    inputs = tf.constant(split.inputs)
    targets = inputs if reconstructs else tf.constant(split.targets)
    num_full, remainder = divmod(len(split), batch_size)
    run = partial(outputs_of, model, training=False)

    def outputs_of_all() -> tf.Tensor:
        parts = []
        if num_full:
            batches = tf.reshape(
                inputs[: num_full * batch_size], (num_full, batch_size, *inputs.shape[1:])
            )
            outputs = tf.map_fn(
                run,
                batches,
                fn_output_signature=tf.TensorSpec(None, output_type(model)),
                parallel_iterations=1,
            )
            parts.append(tf.reshape(outputs, (-1, *outputs.shape[2:])))
        if remainder:
            parts.append(run(inputs[num_full * batch_size :]))
        return tf.concat(parts, axis=0)

    def evaluate() -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return _measure(model, objective, split, targets, outputs_of_all())

    function = compiled(evaluate, mode)
    if mode != "eager":
        function.get_concrete_function()  # type: ignore[attr-defined]
    return lambda: on_host(*function())


def _make_streamed(
    model: keras.Model,
    objective: Objective,
    split: Split,
    mode: str,
    batch_size: int,
    reconstructs: bool,
) -> Evaluate:
    run = compiled(lambda batch: outputs_of(model, batch, training=False), mode)
    measure = compiled(
        lambda targets, outputs: _measure(model, objective, split, targets, outputs), mode
    )
    if mode != "eager":
        # Traced now, for batches of any size, so that the first evaluation is not slower.
        size, shape = len(split), split.inputs.shape[1:]
        of_inputs = tf.TensorSpec((None, *shape), split.dtype)
        run = run.get_concrete_function(of_inputs)  # type: ignore[attr-defined]
        of_targets = (
            tf.TensorSpec((size, *shape), split.dtype)
            if reconstructs
            else tf.constant(split.targets)
        )
        of_outputs = tf.TensorSpec((size, *run.output_shapes[1:]), run.output_dtypes)
        measure = measure.get_concrete_function(of_targets, of_outputs)  # type: ignore[attr-defined]

    def evaluate() -> tuple[dict[str, float], NDArray[np.floating[Any]]]:
        batches = read_in_order(split, batch_size)
        read = [(batch if reconstructs else None, run(batch)) for batch in batches]
        inputs, outputs = zip(*read, strict=True)
        targets = tf.concat(inputs, axis=0) if reconstructs else tf.constant(split.targets)
        return on_host(*measure(targets, tf.concat(outputs, axis=0)))

    return evaluate


def _measure(
    model: keras.Model, objective: Objective, split: Split, targets: tf.Tensor, outputs: tf.Tensor
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    penalties = [v.regularizer(v) for v in model.trainable_variables if v.regularizer]
    weights = None if split.weights is None else tf.constant(split.weights)
    value = tf.add_n([weighted_mean(objective.loss(targets, outputs), weights), *penalties])
    values = {name: metric(targets, outputs) for name, metric in objective.metrics.items()}
    return {"loss": value, **values}, objective.predict(outputs)


def on_host(
    values: Mapping[str, tf.Tensor], predictions: tf.Tensor
) -> tuple[dict[str, float], NDArray[np.floating[Any]]]:
    """Returns values and predictions as numbers on the host."""
    return {name: float(value) for name, value in values.items()}, predictions.numpy()
