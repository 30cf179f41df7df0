"""The checks that losses and weights are finite."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from expt.errors import RunError
from expt.train.timeline import Timeline


class NonFiniteLossError(RunError):
    """A loss or a weight became NaN or infinite."""


def check_finite_weights(networks: Sequence[keras.Model], step: int) -> None:
    """Checks that all weights are finite.

    Raises:
        NonFiniteLossError: A weight is NaN or infinite.
    """
    # The loss may stay finite: an activation such as relu can turn NaN into 0.
    for network in networks:
        for variable in network.variables:
            if not np.isfinite(variable.numpy()).all():
                raise NonFiniteLossError(
                    f"the weights {variable.path} have become NaN or infinite by step {step}, "
                    "though the loss is finite. Try a smaller optimizer.learning_rate."
                )


def check_finite_losses(values: Mapping[str, float], step: int, timeline: Timeline) -> None:
    """Checks that the losses of the last step of a block are finite.

    Args:
        values: The values of the step, by full name.
        step: The step.
        timeline: The timeline of the run.

    Raises:
        NonFiniteLossError: A loss is NaN or infinite.
    """
    # Only the last step needs a check, since a block ends at the first loss that is not finite.
    losses = [n for n in values if n == "train/loss" or n.endswith("_loss")]
    diverged = next((name for name in losses if not np.isfinite(values[name])), None)
    if diverged is not None:
        others = ", ".join(
            f"{name.removeprefix('train/')} {value:.3g}"
            for name, value in values.items()
            if name not in losses
        )
        raise NonFiniteLossError(
            f"{diverged} became {values[diverged]} at step {step} (epoch "
            f"{timeline.epoch_of(step)}; {others}). Try a smaller optimizer.learning_rate."
        )
