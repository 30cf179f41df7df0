"""Hooks: code that runs during training at a cadence."""

from collections.abc import Mapping
from typing import Protocol

import keras
import tensorflow as tf


class LoggingMoment(Protocol):
    """The attributes of a moment of training that these hooks need.

    A protocol, since parts must not import the training package, which defines `Moment`.
    """

    model: keras.Model

    def log(self, values: Mapping[str, float]) -> None:
        """Records values by name at the current step."""


class WeightNorm:
    """Logs `weights/norm`, the L2 norm √ Σ w² of all trainable weights of the model."""

    def __call__(self, moment: LoggingMoment) -> None:
        """Logs the norm of the current weights, not of their moving averages."""
        weights = [variable.value for variable in moment.model.trainable_variables]
        moment.log({"weights/norm": float(tf.linalg.global_norm(weights))})
