"""What a step gets, and the mean over it."""

from typing import NamedTuple

import tensorflow as tf


class Batch(NamedTuple):
    """Some examples.

    Attributes:
        inputs: float32, or float64 for a model that standardises them; shape [batch, ...].
        targets: Class numbers, shape [batch], or values, shape [batch, values].
        weights: How much each example counts in the loss, shape [batch]; None counts all alike.
        mixed_targets: Class numbers of the examples that are mixed in, as `targets`; None without
            mixup, and where targets are values, which are mixed themselves.
        mixed_share: The share of `mixed_targets` in the loss, from 0 to 1, shape [batch].
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor | None = None
    mixed_targets: tf.Tensor | None = None
    mixed_share: tf.Tensor | None = None


def weighted_mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """The one reduction of losses: Σ w_i l_i / Σ w_i over the examples; 0 if all weights are 0.

    Args:
        values: One value for each example, shape [batch].
        weights: Shape [batch]; examples of weight 0 are masked, whatever their value. None is the
            plain mean.
    """
    if weights is None:
        return tf.reduce_mean(values)
    counted = tf.where(weights > 0, values, tf.zeros_like(values))
    return tf.math.divide_no_nan(tf.reduce_sum(weights * counted), tf.reduce_sum(weights))


def total_weight(weights: tf.Tensor | None) -> tf.Tensor:
    """Returns what `weighted_mean` divides by, as far as batches of one size differ in it."""
    return tf.constant(1.0) if weights is None else tf.reduce_sum(weights)
