"""The facts about a run that the rules of the training doctor read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.probes.doctor.series import EMPTY, Series

ALL_LAYERS = "all"
"""The name that probes give to all layers together."""


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes of a classification, and how often they are predicted.

    Attributes:
        names: The names of the classes.
        of_train: The number of examples of each class in the train split, shape [classes].
        of_validation: The same for the validation split.
        predicted: The number of validation examples for which the last model predicts each class,
            shape [classes]; None if they were not evaluated.
    """

    names: tuple[str, ...]
    of_train: NDArray[np.int64]
    of_validation: NDArray[np.int64]
    predicted: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ConstantLosses:
    """The losses of models that ignore their inputs.

    Attributes:
        untrained: The training loss of a model that knows nothing: one with equal probabilities,
            or that predicts the mean of the targets.
        train: The training loss of the best constant prediction.
        validation: The validation loss of that prediction.
    """

    untrained: float
    train: float
    validation: float


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The facts about a run that the rules read.

    Attributes:
        params: The parameters by full key, and the option of each group under the group's name.
        task: The learning task, such as `classification`.
        steps_per_epoch: The number of steps per epoch.
        input_size: The largest root mean square of an input feature, as the model's first trained
            layer sees it; None if that is not known.
        target_deviation: The standard deviation of the targets of a regression; None for other
            tasks.
        constant_losses: The losses of models that ignore their inputs; None if they are not known
            for the loss.
        classes: The classes; None unless the task is a classification.
        columns: The columns of the journal, in the order of their first records. Those of probes
            have the layers in the order of the forward pass.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    task: str = "classification"
    steps_per_epoch: int = 1
    input_size: float | None = None
    target_deviation: float | None = None
    constant_losses: ConstantLosses | None = None
    classes: Classes | None = None
    columns: Mapping[str, Series] = field(default_factory=dict)

    @property
    def act(self) -> str:
        """The name of the activation."""
        return str(self.params.get("act", ""))

    @property
    def first_loss(self) -> float:
        """The loss of a model that knows nothing; if unknown or 0, that of the first step."""
        if self.constant_losses is not None and self.constant_losses.untrained > 0:
            return self.constant_losses.untrained
        loss = self.column("train/loss").values
        return float(loss[0]) if len(loss) else 0.0

    @property
    def learning_rate(self) -> float:
        """The base learning rate; NaN for an optimizer without one."""
        rate = self.params.get("optimizer.learning_rate")
        return float(rate) if isinstance(rate, int | float) else float("nan")

    def override(self, key: str, value: object) -> str | None:
        """Returns an override; None if the run's config has no such key."""
        return f"{key}={value}" if key in self.params else None

    def slower(self) -> str | None:
        """Returns the override that divides the learning rate by ten, if there is one."""
        return self.override("optimizer.learning_rate", f"{self.learning_rate / 10:.3g}")

    def column(self, name: str) -> Series:
        """Returns the finite values of a column; an empty series if it was not recorded."""
        return self.columns.get(name, EMPTY).finite()

    def layers(self, quantity: str) -> dict[str, Series]:
        """Returns a probe's quantity, such as `gradient_norm`, by layer; without that of all."""
        prefix = f"{quantity}/"
        return {
            name.removeprefix(prefix): self.column(name)
            for name in self.columns
            if name.startswith(prefix) and name != prefix + ALL_LAYERS
        }
