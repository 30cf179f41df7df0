"""What a step gets, and the mean over it."""

from typing import Any, NamedTuple

import tensorflow as tf


class Batch(NamedTuple):
    """Some examples.

    Attributes:
        inputs: float32, or float64 for a model that standardises them; shape [batch, ...].
        targets: Class numbers, shape [batch], or values, shape [batch, values].
        weights: How much each example counts in the loss and the metrics, shape [batch]; None
            counts all alike.
        mixed_targets: Class numbers of the examples that are mixed in, as `targets`; None without
            mixup, and where targets are values, which are mixed themselves.
        mixed_share: The share of `mixed_targets` in the loss, from 0 to 1, shape [batch].
    """

    inputs: tf.Tensor
    targets: tf.Tensor
    weights: tf.Tensor | None = None
    mixed_targets: tf.Tensor | None = None
    mixed_share: tf.Tensor | None = None


def mean_loss(values: Any, weights: tf.Tensor | None) -> tf.Tensor:
    """The one reduction of losses, in training and evaluation: Σ w_i l_i / Σ w_i.

    Args:
        values: What a loss returned: one value for each example, shape [batch], or a pair of
            values and their weights, such as those of classes.
        weights: Of the examples, shape [batch]; None counts all alike. A pair's weights are
            multiplied by them.
    """
    return weighted_mean(values_and_weights(values)[0], _weights(values, weights))


def loss_weight(values: Any, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns how much a batch's mean loss counts beside those of others of its size: Σ w_i.

    Arguments: as in `mean_loss`. Without weights it is 1.
    """
    weights = _weights(values, weights)
    return tf.constant(1.0) if weights is None else tf.reduce_sum(weights)


def _weights(values: Any, weights: tf.Tensor | None) -> tf.Tensor | None:
    _, factors = values_and_weights(values)
    if factors is None or weights is None:
        return weights if factors is None else factors
    return factors * weights


def mixed(one: Any, other: Any, share: tf.Tensor) -> Any:
    """Mixes what a loss returned for two targets of each example: (1 - λ) w l + λ w' l'.

    Args:
        one: What it returned for the first targets.
        other: What it returned for the others.
        share: λ, that of the others, from 0 to 1, shape [batch].
    """
    (values, weights), (others, their_weights) = values_and_weights(one), values_and_weights(other)
    if weights is None or their_weights is None:
        return (1 - share) * values + share * others
    total = (1 - share) * weights + share * their_weights
    return ((1 - share) * weights * values + share * their_weights * others) / total, total


def values_and_weights(values: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Returns the values that a loss returned, and their weights, if it returned a pair."""
    if isinstance(values, tuple):
        return values
    return values, None


def weighted_mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Returns Σ w_i l_i / Σ w_i over the examples; 0 if all weights are 0.

    Args:
        values: One value for each example, shape [batch].
        weights: Shape [batch]; examples of weight 0 are masked, whatever their value. None is the
            plain mean.
    """
    if weights is None:
        return tf.reduce_mean(values)
    counted = tf.where(weights > 0, values, tf.zeros_like(values))
    return tf.math.divide_no_nan(tf.reduce_sum(weights * counted), tf.reduce_sum(weights))
