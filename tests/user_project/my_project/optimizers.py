"""Optimizers of my own."""

from typing import Any

import keras
import tensorflow as tf


class SignDescent(keras.optimizers.Optimizer):
    """Updates θ ← θ - α sign(g): steps of one size for all weights. Source: arXiv:1802.04434.

    Args:
        learning_rate: α, a number or a schedule.
        **options: Options of every Keras optimizer, such as `global_clipnorm`.
    """

    def __init__(self, *, learning_rate: Any, **options: Any) -> None:
        super().__init__(learning_rate=learning_rate, **options)

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one variable."""
        rate = tf.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, rate * tf.sign(gradient))
