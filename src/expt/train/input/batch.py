"""Batches, and the weighted means over them."""

from typing import Any, NamedTuple

import tensorflow as tf


class Batch(NamedTuple):
    """The examples of one step.

    Attributes:
        inputs: Inputs, shape [batch, ...]; float32, or float64 for a model that standardizes them.
        targets: Labels, int of shape [batch], or values, float of shape [batch, values].
        weights: The weights of the examples in the loss and the metrics, shape [batch]; None if
            all count alike.
        mixed_targets: With mixup of labels, the labels of the examples that are mixed in, shape
            [batch]; else None. Targets that are values are mixed themselves.
        mixed_share: The share of `mixed_targets` in the loss, from 0 to 1, shape [batch].
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor | None = None
    mixed_targets: tf.Tensor | None = None
    mixed_share: tf.Tensor | None = None


def mean_loss(values: Any, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns the mean loss Σ w_i l_i / Σ w_i; all losses are reduced by this function.

    Args:
        values: The return value of a loss: one value per example, shape [batch], or a pair of
            values and their weights, such as class weights.
        weights: The weights of the examples, shape [batch]; None if all count alike. They are
            multiplied by the weights of a pair.
    """
    return weighted_mean(values_and_weights(values)[0], _weights(values, weights))


def loss_weight(values: Any, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns the weight of a batch's mean loss among batches of equal size: Σ w_i, or 1.

    Args:
        values: As for `mean_loss`.
        weights: As for `mean_loss`.

    Returns:
        A float32 scalar; 1 if there are no weights.
    """
    weights = _weights(values, weights)
    return tf.constant(1.0) if weights is None else tf.reduce_sum(weights)


def _weights(values: Any, weights: tf.Tensor | None) -> tf.Tensor | None:
    _, factors = values_and_weights(values)
    if factors is None or weights is None:
        return weights if factors is None else factors
    return factors * weights


def mixed(one: Any, other: Any, share: tf.Tensor) -> Any:
    """Mixes the losses for two targets of each example: (1 - λ) w l + λ w' l'.

    Args:
        one: The return value of a loss for the first targets: values l, or values and weights w.
        other: The return value for the second targets.
        share: λ, the share of the second targets, from 0 to 1, shape [batch].

    Returns:
        Values, or a pair of values and their weights (1 - λ) w + λ w'.
    """
    (values, weights), (others, their_weights) = values_and_weights(one), values_and_weights(other)
    if weights is None or their_weights is None:
        return (1 - share) * values + share * others
    total = (1 - share) * weights + share * their_weights
    return ((1 - share) * weights * values + share * their_weights * others) / total, total


def values_and_weights(values: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Splits the return value of a loss into values and weights, which are None without a pair."""
    if isinstance(values, tuple):
        return values
    return values, None


def weighted_mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns Σ w_i l_i / Σ w_i over the examples; 0 if all weights are 0.

    Args:
        values: One value per example, shape [batch].
        weights: The weights, shape [batch]; None for the plain mean. The values of examples with
            weight 0 have no influence, even if they are NaN.
    """
    if weights is None:
        return tf.reduce_mean(values)
    # 0 · NaN is NaN, so masked values are replaced, not just multiplied by 0.
    counted = tf.where(weights > 0, values, tf.zeros_like(values))
    return tf.math.divide_no_nan(tf.reduce_sum(weights * counted), tf.reduce_sum(weights))
