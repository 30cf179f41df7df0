"""Hooks of my own."""

import numpy as np

from expt.train.hooks import Moment


class FirstLayer:
    """Logs the weights of the first layer: their norm, and an image of their absolute values.

    Args:
        white: The absolute value that is drawn white.
    """

    def __init__(self, *, white: float = 1.0) -> None:
        self._white = white

    def __call__(self, moment: Moment) -> None:
        """Logs the norm and the image."""
        weights = moment.model.trainable_variables[0].numpy()
        moment.log({"weights/first_norm": float(np.linalg.norm(weights))})
        brightness = np.clip(255 * np.abs(weights) / self._white, 0, 255).astype(np.uint8)
        moment.log_image("weights/first_layer", np.stack([brightness] * 3, axis=-1))


class StopAt:
    """Ends training once a metric of the validation split is large enough.

    Args:
        metric: The full name of the metric.
        value: The value at which training ends.
    """

    def __init__(self, *, metric: str, value: float) -> None:
        self._metric, self._value = metric, value

    def __call__(self, moment: Moment) -> None:
        """Evaluates the validation split, and ends training if its metric is large enough."""
        if moment.evaluation.values[self._metric] >= self._value:
            moment.stop(f"{self._metric} reached {self._value}")
