"""Activations of my own."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="my_project")
class SquaredRelu(keras.layers.Layer):
    """Returns max(x, 0)², at most `limit`. Source: arXiv:2109.08668.

    Args:
        limit: The largest value.
        **options: Options of every Keras layer, such as its name.
    """

    def __init__(self, *, limit: float, **options: Any) -> None:
        super().__init__(**options)
        self.limit = limit

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies the function to each value."""
        return tf.minimum(tf.square(tf.nn.relu(inputs)), self.limit)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, for saved models."""
        return {**super().get_config(), "limit": self.limit}
