"""A schedule that spans fewer steps than the run."""

from typing import Any

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule


@keras.saving.register_keras_serializable(package="expt", name="Held")
class HeldSchedule(LearningRateSchedule):  # type: ignore[misc]
    """A schedule whose learning rate stays constant after a last step.

    α_t = schedule(min(t, last step)).

    Args:
        schedule: A Keras schedule, or its serialized form.
        last_step: The last step at which the rate changes, counted from 0.
    """

    def __init__(self, schedule: Any, last_step: int) -> None:
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        self.schedule, self.last_step = schedule, last_step

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, a scalar."""
        # A schedule may be called with any type; an optimizer's iterations are int64.
        return self.schedule(tf.minimum(tf.cast(step, tf.int64), self.last_step))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "last_step": self.last_step}
