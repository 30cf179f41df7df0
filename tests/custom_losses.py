"""Losses of a user's own, some of which are at fault."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def _square(targets: tf.Tensor, outputs: tf.Tensor, factor: float) -> tf.Tensor:
    """Returns squared errors, with a gradient that is `factor` times the right one."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def square(outputs: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], Any]]:
        error = outputs - targets
        value = tf.reduce_mean(error**2, axis=-1)
        return value, lambda upstream: factor * 2 * upstream[:, None] * error / error.shape[-1]

    return square(outputs)


def right_gradient(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return _square(targets, outputs, 1.0)


def wrong_gradient(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return _square(targets, outputs, 1.1)


def in_float32(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return right_gradient(tf.cast(targets, tf.float32), tf.cast(outputs, tf.float32))


def wrong_in_float32(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return wrong_gradient(tf.cast(targets, tf.float32), tf.cast(outputs, tf.float32))


def nan_for_large_outputs(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    values = right_gradient(targets, outputs)
    return tf.where(tf.reduce_max(tf.abs(outputs)) > 3, float("nan") * values, values)
