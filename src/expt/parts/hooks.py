"""Hooks: what is logged besides, at a cadence of its own."""

from collections.abc import Mapping
from typing import Protocol

import keras
import tensorflow as tf


class LoggingMoment(Protocol):
    """The part of a moment of training that these hooks need."""

    model: keras.Model

    def log(self, values: Mapping[str, float]) -> None:
        """Records numbers at this step."""


class WeightNorm:
    """Logs `weights/norm`, the L2 norm √ Σ w² of all trainable weights of the model."""

    def __call__(self, moment: LoggingMoment) -> None:
        """Logs the norm of the weights in training, not of their averages."""
        weights = [variable.value for variable in moment.model.trainable_variables]
        moment.log({"weights/norm": float(tf.linalg.global_norm(weights))})
