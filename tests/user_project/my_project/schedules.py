"""Learning rate schedules of my own."""

from typing import Any

import keras
import tensorflow as tf


class InverseRoot(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise over w steps, then α √(w / t). Source: arXiv:1706.03762, section 5.3."""

    def __init__(self, learning_rate: float, warmup_steps: int) -> None:
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, counted from 0."""
        t, w = tf.cast(step, tf.float32) + 1.0, float(self.warmup_steps)
        return self.learning_rate * tf.minimum(t / w, tf.sqrt(w / t))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {"learning_rate": self.learning_rate, "warmup_steps": self.warmup_steps}


def inverse_root(learning_rate: float, total_steps: int, *, warmup: float) -> InverseRoot:
    """Makes a schedule that rises to the learning rate and then falls.

    Args:
        learning_rate: α, the highest rate.
        total_steps: The number of steps of the run.
        warmup: The fraction of the run in which the rate rises.
    """
    return InverseRoot(learning_rate, max(1, round(warmup * total_steps)))
