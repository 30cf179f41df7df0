"""Gradient accumulation: computes a batch in parts, so that memory holds one part at a time."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from expt.train.input.batch import Batch

# Instead of 0, so that the means of parts without any weight can still be divided.
_LEAST_WEIGHT = 1e-30


class Computed(NamedTuple):
    """The result of a forward and backward pass over a batch.

    Attributes:
        weight: The weight of the batch among others, such as the sum of its examples' weights;
            scalar float32.
        means: Means over the examples: the losses and their gradients.
        outputs: The outputs of each example, shape [batch, …].
        states: The new values of the variables that a forward pass changes, such as moving
            averages.
    """

    weight: tf.Tensor
    means: list[tf.Tensor]
    outputs: list[tf.Tensor]
    states: list[tf.Tensor]


Compute = Callable[[Sequence[tf.Tensor], Batch, Sequence[tf.Tensor]], Computed]
"""A pure function of the values of weights, a batch, and the values of states."""


def over_parts(
    compute: Compute,
    num_parts: int,
    means_like: Sequence[tf.Tensor],
    outputs_like: Sequence[tf.TensorSpec] = (),
) -> Compute:
    """Returns a function that computes a batch in equal parts, one after the other.

    The result is that of the whole batch: the means are Σ_j W_j m_j / Σ_j W_j over parts j with
    weights W_j, and not the mean of the parts' means. If all weights are 0, the means are the
    plain means. Layers that depend on the batch as a whole, such as batch normalization, see one
    part at a time.

    Args:
        compute: Computes one part.
        num_parts: The number of parts, at least 2; it must divide the batch size.
        means_like: Tensors with the shapes and types of the means.
        outputs_like: The types and shapes [batch, …] of the outputs.
    """

    def compute_all(
        weights: Sequence[tf.Tensor], batch: Batch, states: Sequence[tf.Tensor]
    ) -> Computed:
        parts = [None if values is None else _cut(values, num_parts) for values in batch]

        def add(
            number: tf.Tensor,
            weight: tf.Tensor,
            sums: list[tf.Tensor],
            rows: list[tf.TensorArray],
            states: list[tf.Tensor],
        ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor], list[tf.TensorArray], list[tf.Tensor]]:
            examples = Batch(*(None if p is None else p[number] for p in parts))
            part = compute(weights, examples, states)
            counted = tf.maximum(part.weight, _LEAST_WEIGHT)
            sums = [
                total + tf.cast(counted, total.dtype) * tf.convert_to_tensor(mean)
                for total, mean in zip(sums, part.means, strict=True)
            ]
            rows = [row.write(number, x) for row, x in zip(rows, part.outputs, strict=True)]
            return number + 1, weight + counted, sums, rows, part.states

        zeros = [tf.zeros_like(each) for each in means_like]
        arrays = [tf.TensorArray(like.dtype, size=num_parts) for like in outputs_like]
        # Not a Python loop: that would put every part into the graph, and TensorFlow is free to
        # run independent parts of a graph at the same time.
        _, weight, sums, rows, last_states = tf.while_loop(
            lambda number, *_: number < num_parts,
            add,
            (tf.constant(0), tf.constant(0.0), zeros, arrays, list(states)),
            maximum_iterations=num_parts,
        )
        means = [total / tf.cast(weight, total.dtype) for total in sums]
        # `concat` returns an unknown static shape, although the batch size is known.
        outputs = [
            tf.ensure_shape(row.concat(), (batch.inputs.shape[0], *like.shape[1:]))
            for row, like in zip(rows, outputs_like, strict=True)
        ]
        return Computed(weight, means, outputs, last_states)

    return compute_all


def _cut(values: tf.Tensor, num_parts: int) -> tf.Tensor:
    return tf.reshape(values, (num_parts, values.shape[0] // num_parts, *values.shape[1:]))
