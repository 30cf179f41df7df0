"""Schedules: functions of the base learning rate and the total number of steps."""

import keras


def constant(learning_rate: float, total_steps: int) -> float:  # noqa: ARG001
    """The base learning rate at every step."""
    return learning_rate


def cosine(
    learning_rate: float, total_steps: int, *, final_fraction: float = 0.0
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Half a cosine from the base learning rate down to a fraction of it at the last step.

    α_t = α (f + (1 - f) (1 + cos(π t / T)) / 2). Source: I. Loshchilov, F. Hutter, "SGDR",
    arXiv:1608.03983, equation 5.

    Args:
        learning_rate: α, the rate of the first step.
        total_steps: T.
        final_fraction: f.
    """
    return keras.optimizers.schedules.CosineDecay(learning_rate, total_steps, alpha=final_fraction)
