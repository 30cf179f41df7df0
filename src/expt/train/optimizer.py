"""The learning rate schedule and the optimizers that a config names."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.config.compose import Job
from expt.config.instantiate import DECAY_KEY, HORIZON_KEY, call, part
from expt.errors import UserError
from expt.parts.horizon import Held
from expt.parts.weight_decay import undecayed

MakeOptimizer = Callable[[Sequence[Any]], keras.optimizers.Optimizer]
"""Makes an optimizer as the config says, and builds it for some variables."""


def make_schedule(job: Job, total_steps: int) -> Any:
    """Makes the learning rate of a job of so many steps: a number, or a schedule of Keras.

    Raises:
        UserError: The schedule refuses its arguments.
    """
    node = job.config.schedule
    horizon = node.get(HORIZON_KEY) or total_steps
    schedule = call(
        part(node, "schedule"),
        "schedule",
        learning_rate=job.config.optimizer["learning_rate"],
        total_steps=horizon,
    )
    if horizon >= total_steps or not callable(schedule) or hasattr(schedule, "consider"):
        return schedule
    return Held(schedule, horizon - 1)


def make_optimizers(job: Job, schedule: Any) -> MakeOptimizer:
    """Returns the function that makes an optimizer for the variables of a network."""
    scales_loss = job.config.loop.precision == "mixed_float16"

    def make(variables: Sequence[Any]) -> keras.optimizers.Optimizer:
        if not variables:
            raise UserError(
                "model: it has no trainable variables, so that training would change nothing; "
                "expected at least one layer with weights and trainable=True. A finished run is "
                "evaluated without training by python -m expt.evaluate."
            )
        made = part(job.config.optimizer, "optimizer")
        optimizer = call(made, "optimizer", learning_rate=schedule)
        if job.config.optimizer.get(DECAY_KEY) is False:
            optimizer.exclude_from_weight_decay(var_list=undecayed(variables))
        if scales_loss:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    return make
