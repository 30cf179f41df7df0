"""Losses: one value for each example; the mean is taken in one place, by the step.

A loss gets targets first and outputs second. Outputs of classifiers are logits of shape
[batch, classes] with int32 targets of shape [batch]; outputs of regressions have the shape of
their float targets, [batch, values].
"""

import tensorflow as tf


def crossentropy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the softmax of logits: -log p_y, p = softmax(outputs).

    Its gradient with respect to the logits is p - onehot(y). Source: I. Goodfellow et al., "Deep
    Learning", 2016, section 6.2.2.3.

    Args:
        targets: Class numbers, shape [batch].
        outputs: Logits, shape [batch, classes].

    Returns:
        Shape [batch], in nats.
    """
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs)


def mse(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean squared error: the mean over k of (t_k - o_k)².

    For class targets, t is one-hot and o = softmax(outputs), whose Jacobian is
    ∂p_i/∂z_j = p_i (δ_ij - p_j).

    Args:
        targets: Values, shape [batch, values], or class numbers, shape [batch].
        outputs: Predictions, shape [batch, values], or logits, shape [batch, classes].

    Returns:
        Shape [batch].
    """
    if targets.dtype.is_integer:
        targets = tf.one_hot(targets, outputs.shape[-1], dtype=outputs.dtype)
        outputs = tf.nn.softmax(outputs)
    return tf.reduce_mean(tf.square(targets - outputs), axis=-1)
