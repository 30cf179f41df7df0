"""Gradient accumulation: a step's batch computed part by part, so that memory holds one part."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from expt.train.input.batch import Batch

_LEAST_WEIGHT = 1e-30


class Computed(NamedTuple):
    """What is computed of a batch.

    Attributes:
        weight: How much the batch counts beside others, such as the sum of its examples' weights.
        means: Over its examples: losses, and their gradients.
        outputs: Of each example, shape [batch, …].
        states: The new values of what a forward pass changes, such as moving averages.
    """

    weight: tf.Tensor
    means: list[tf.Tensor]
    outputs: list[tf.Tensor]
    states: list[tf.Tensor]


Compute = Callable[[Sequence[tf.Tensor], Batch, Sequence[tf.Tensor]], Computed]
"""Computes a batch from the values of weights and states; it changes nothing."""


def over_parts(
    compute: Compute,
    num_parts: int,
    means_like: Sequence[tf.Tensor],
    outputs_like: Sequence[tf.TensorSpec] = (),
) -> Compute:
    """Returns a function that computes a batch in equal parts, with the same result.

    The means are Σ W_j m_j / Σ W_j, so that they are those of the whole batch, and not means of
    the means of parts whose weights differ; if nothing counts, as with weights of 0, they are
    the plain means. Where layers see the batch as a whole, as batch normalisation does, they see
    one part at a time.

    Args:
        compute: What to do with a part.
        num_parts: How many parts, at least 2; they must divide the batch.
        means_like: Tensors of the shapes and types of the means.
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
        _, weight, sums, rows, last_states = tf.while_loop(
            lambda number, *_: number < num_parts,
            add,
            (tf.constant(0), tf.constant(0.0), zeros, arrays, list(states)),
            maximum_iterations=num_parts,
        )
        means = [total / tf.cast(weight, total.dtype) for total in sums]
        outputs = [
            tf.ensure_shape(row.concat(), (batch.inputs.shape[0], *like.shape[1:]))
            for row, like in zip(rows, outputs_like, strict=True)
        ]
        return Computed(weight, means, outputs, last_states)

    return compute_all


def _cut(values: tf.Tensor, num_parts: int) -> tf.Tensor:
    return tf.reshape(values, (num_parts, values.shape[0] // num_parts, *values.shape[1:]))
