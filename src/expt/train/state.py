"""What training leaves to be kept: the best model so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

MONITORED = "val/loss"


@dataclass
class Best:
    """The weights of the evaluation with the lowest validation loss.

    Attributes:
        model: The model in training.
        step: The step of that evaluation; None before the first finite one.
        values: Its loss and metrics by full name.
    """

    model: keras.Model
    step: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    _weights: list[Any] = field(default_factory=list)

    def consider(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps a copy of the model's weights if these values are the best so far."""
        value = values[MONITORED]
        if np.isfinite(value) and (self.step is None or value < self.values[MONITORED]):
            self.step, self.values = step, dict(values)
            self._weights = self.model.get_weights()

    def restore(self) -> None:
        """Puts the best weights back into the model; there must be some."""
        assert self.step is not None
        self.model.set_weights(self._weights)


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model as a `.keras` file, atomically: there is the whole file or the one before."""
    partial = path.with_name(f"partial-{path.name}")
    model.save(partial)
    partial.replace(path)
