"""Metrics: one number for a whole batch or a whole split, never a mean of batches' means.

Arguments are those of the losses: targets first, then outputs.
"""

import tensorflow as tf


def accuracy(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """The fraction of examples whose largest logit is that of their class.

    Args:
        targets: Class numbers, shape [examples].
        outputs: Logits, shape [examples, classes].
    """
    predicted = tf.argmax(outputs, axis=-1, output_type=targets.dtype)
    return tf.reduce_mean(tf.cast(predicted == targets, tf.float32))


def mae(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Mean absolute error, in the targets' unit. Both arguments: shape [examples, values]."""
    return tf.reduce_mean(tf.abs(targets - outputs))


def rmse(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Root of the mean squared error, in the targets' unit. Shapes: [examples, values]."""
    return tf.sqrt(tf.reduce_mean(tf.square(targets - outputs)))
