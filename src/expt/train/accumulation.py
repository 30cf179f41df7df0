"""Gradient accumulation: a step's batch computed part by part, so that memory holds one part."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from expt.train.batch import Batch

Compute = Callable[[Batch], tuple[list[tf.Tensor], list[tf.Tensor]]]
"""Returns means over a batch (losses, gradients), and tensors [batch, …] of its examples."""


def over_parts(
    compute: Compute,
    num_parts: int,
    means_like: Sequence[tf.Tensor],
    output_types: Sequence[tf.DType] = (),
) -> Compute:
    """Returns a function that computes a batch in equal parts, with the same result.

    Each part's means count by the sum of its examples' weights, so that the result is that of the
    whole batch, not the mean of means of parts whose weights differ. What a layer learns of its
    inputs in passing, as batch normalisation does, is of one part at a time.

    Args:
        compute: What to do with a part.
        num_parts: How many parts; they must divide the batch.
        means_like: Tensors of the shapes and types of the means.
        output_types: The types of the tensors of examples.
    """
    if num_parts == 1:
        return compute

    def over_all(batch: Batch) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        parts = [None if x is None else _cut(x, num_parts) for x in batch]
        shares = _shares(None if batch.weights is None else parts[2], num_parts)

        def add(
            number: tf.Tensor, sums: list[tf.Tensor], rows: list[tf.TensorArray]
        ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.TensorArray]]:
            means, outputs = compute(Batch(*(None if x is None else x[number] for x in parts)))
            share = shares[number]
            sums = [
                total + tf.cast(share, total.dtype) * tf.convert_to_tensor(mean)
                for total, mean in zip(sums, means, strict=True)
            ]
            rows = [row.write(number, x) for row, x in zip(rows, outputs, strict=True)]
            return number + 1, sums, rows

        _, means, rows = tf.while_loop(
            lambda number, *_: number < num_parts,
            add,
            (
                tf.constant(0),
                [tf.zeros_like(each) for each in means_like],
                [tf.TensorArray(kind, size=num_parts) for kind in output_types],
            ),
            maximum_iterations=num_parts,
        )
        return means, [row.concat() for row in rows]

    return over_all


def _cut(values: tf.Tensor, num_parts: int) -> tf.Tensor:
    return tf.reshape(values, (num_parts, values.shape[0] // num_parts, *values.shape[1:]))


def _shares(weights: tf.Tensor | None, num_parts: int) -> tf.Tensor:
    """The share of each part in the whole batch; equal ones if no example counts."""
    equal = tf.fill([num_parts], 1 / num_parts)
    if weights is None:
        return equal
    sums = tf.reduce_sum(weights, axis=1)
    total = tf.reduce_sum(sums)
    return tf.where(total > 0, tf.math.divide_no_nan(sums, total), equal)
