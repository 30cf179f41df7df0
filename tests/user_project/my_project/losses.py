"""Losses of my own."""

import tensorflow as tf


def robust(targets: tf.Tensor, outputs: tf.Tensor, *, q: float) -> tf.Tensor:
    """(1 - p^q) / q, p the probability of an example's class; arXiv:1805.07836."""
    log_p = -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs)
    return -tf.math.expm1(q * log_p) / q
