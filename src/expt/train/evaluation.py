"""Evaluation of a whole split: the loss, the metrics and the predictions."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.train.compilation import compile_function
from expt.train.input.batch import mean_loss
from expt.train.input.pipeline import is_streamed, read_in_order
from expt.train.objective import Objective, measure, output_type, outputs_of, penalty_of

# The limits of one batch. 2 ** 21 float32 inputs are 8 MB.
_MOST_EXAMPLES, _MOST_NUMBERS = 512, 2**21

Evaluate = Callable[[], tuple[dict[str, float], NDArray[np.floating[Any]]]]
"""Returns the loss and metrics of a split by name, and its predictions, shape [examples, ...]."""


class GraphEvaluation:
    """An `Evaluate` that is a single function of tensors, so that a compiled block can call it.

    Args:
        compute: Returns the loss and metrics by name, scalars, and the predictions, with the
            current weights.
        mode: `graph`, `xla` or `eager`.

    Attributes:
        function: The compiled function.
        results: The types and shapes of what it returns; None with `eager`.
    """

    def __init__(
        self, compute: Callable[[], tuple[dict[str, tf.Tensor], tf.Tensor]], mode: str
    ) -> None:
        self.function = compile_function(compute, mode)
        self.results: tuple[dict[str, tf.TensorSpec], tf.TensorSpec] | None = None
        # Traced now, so that the first evaluation need not be; XLA compiles at the first call.
        if mode != "eager":
            traced = self.function.get_concrete_function()  # type: ignore[attr-defined]
            self.results = traced.structured_outputs

    def __call__(self) -> tuple[dict[str, float], NDArray[np.floating[Any]]]:
        """Evaluates the split with the current weights."""
        return to_host(*self.function())


def make_evaluate(
    model: keras.Model,
    objective: Objective,
    split: Split,
    mode: str,
    *,
    reconstructs: bool = False,
) -> Evaluate:
    """Returns the function that evaluates the model on a split, with the weights of the moment.

    The model runs in batches, but loss and metrics are computed from the outputs of the whole
    split at once. They are weighted as in training. Like the training loss, the loss includes the
    losses that the model adds, averaged over the batches with their sizes as weights.

    Args:
        model: Maps inputs to outputs.
        objective: The loss, the metrics, and the conversion of outputs to predictions.
        split: The split to evaluate on.
        mode: `graph`, `xla` or `eager`.
        reconstructs: Whether the inputs are the targets.
    """
    # At once, since the mean of batch means is wrong if the last batch is smaller, and metrics
    # such as the AUC are no means at all.
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
    run = partial(_run_batch, model)

    def run_all() -> tuple[tf.Tensor, tf.Tensor]:
        parts, penalties = [], []
        if num_full:
            batches = tf.reshape(
                inputs[: num_full * batch_size], (num_full, batch_size, *inputs.shape[1:])
            )
            outputs, penalty = tf.map_fn(
                run,
                batches,
                fn_output_signature=(
                    tf.TensorSpec(None, output_type(model)),
                    tf.TensorSpec((), tf.float32),
                ),
                # Several batches at a time would need several times the memory.
                parallel_iterations=1,
            )
            parts.append(tf.reshape(outputs, (-1, *outputs.shape[2:])))
            penalties.append(batch_size * tf.reduce_sum(penalty))
        if remainder:
            outputs, penalty = run(inputs[num_full * batch_size :])
            parts.append(outputs)
            penalties.append(remainder * penalty)
        return tf.concat(parts, axis=0), tf.add_n(penalties) / len(split)

    def evaluate() -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        return _measure(objective, split, targets, *run_all())

    return GraphEvaluation(evaluate, mode)


def _make_streamed(
    model: keras.Model,
    objective: Objective,
    split: Split,
    mode: str,
    batch_size: int,
    reconstructs: bool,
) -> Evaluate:
    run = compile_function(partial(_run_batch, model), mode)
    measure_all = compile_function(
        lambda targets, outputs, penalty: _measure(objective, split, targets, outputs, penalty),
        mode,
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
        # The types of the outputs are those that the model's trace has found.
        of_batch, of_penalty = run.structured_outputs
        of_outputs = tf.TensorSpec((size, *of_batch.shape[1:]), of_batch.dtype)
        measure_all = measure_all.get_concrete_function(  # type: ignore[attr-defined]
            of_targets, of_outputs, of_penalty
        )

    def evaluate() -> tuple[dict[str, float], NDArray[np.floating[Any]]]:
        batches = read_in_order(split, batch_size)
        # Only the outputs are kept, unless the inputs are the targets: a streamed split may be
        # larger than memory.
        read = [(batch if reconstructs else None, *run(batch)) for batch in batches]
        inputs, outputs, penalties = zip(*read, strict=True)
        targets = tf.concat(inputs, axis=0) if reconstructs else tf.constant(split.targets)
        sizes = [float(len(of_batch)) for of_batch in outputs]
        penalty = tf.add_n([size * p for size, p in zip(sizes, penalties, strict=True)])
        return to_host(*measure_all(targets, tf.concat(outputs, axis=0), penalty / sum(sizes)))

    return evaluate


def _run_batch(model: keras.Model, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the outputs for a batch, and the sum of the losses that the model adds."""
    outputs = outputs_of(model, batch, training=False)
    return outputs, penalty_of(model)


def _measure(
    objective: Objective,
    split: Split,
    targets: tf.Tensor,
    outputs: tf.Tensor,
    penalty: tf.Tensor,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    weights = None if split.weights is None else tf.constant(split.weights)
    value = mean_loss(objective.loss(targets, outputs), weights) + penalty
    values = measure(objective.metrics, targets, outputs, weights)
    return {"loss": value, **values}, objective.predict(outputs)


def to_host(
    values: Mapping[str, tf.Tensor], predictions: tf.Tensor
) -> tuple[dict[str, float], NDArray[np.floating[Any]]]:
    """Copies scalars and predictions from the device to the host."""
    return {name: float(value) for name, value in values.items()}, predictions.numpy()
