"""Makes the learning rate schedule and the optimizers that a config names."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from expt.config.instantiate import DECAY_KEY, HORIZON_KEY, bind_part, call_part
from expt.config.job import Job
from expt.config.schema import Mode
from expt.errors import UserError
from expt.parts.horizon import HeldSchedule
from expt.parts.schedules import range_test
from expt.parts.weight_decay import variables_without_decay

MakeOptimizer = Callable[[Sequence[Any]], keras.optimizers.Optimizer]
"""Returns the optimizer of the config, built for a list of variables."""


def make_schedule(job: Job, total_steps: int) -> Any:
    """Returns the learning rate of a job: a number, or a Keras learning rate schedule.

    The rates of a range test replace the schedule of the config.

    Args:
        job: The job.
        total_steps: The planned number of steps, over which the schedule extends unless the config
            sets its length.

    Raises:
        UserError: The schedule does not accept its arguments.
    """
    if job.config.mode is Mode.lr_finder:
        return range_test(total_steps)
    node = job.config.schedule
    horizon = node.get(HORIZON_KEY) or total_steps
    schedule = call_part(
        bind_part(node, "schedule"),
        "schedule",
        learning_rate=job.config.optimizer["learning_rate"],
        total_steps=horizon,
    )
    if horizon >= total_steps or not callable(schedule) or hasattr(schedule, "consider"):
        return schedule
    # A schedule that is shorter than the run keeps its last rate for the remaining steps.
    return HeldSchedule(schedule, horizon - 1)


def make_optimizers(job: Job, schedule: Any) -> MakeOptimizer:
    """Returns the function that makes an optimizer for the variables of a network.

    The function raises a UserError if there are no variables, or if the optimizer does not accept
    its arguments.
    """
    # float16 underflows for small gradients; bfloat16 has the range of float32.
    scales_loss = job.config.loop.precision == "mixed_float16"

    def make(variables: Sequence[Any]) -> keras.optimizers.Optimizer:
        if not variables:
            raise UserError(
                "model: it has no trainable variables, so there is nothing to train; expected at "
                "least one layer with weights and trainable=True. To evaluate a finished run "
                "without training: python -m expt.evaluate"
            )
        made = bind_part(job.config.optimizer, "optimizer")
        optimizer = call_part(made, "optimizer", learning_rate=schedule)
        if job.config.optimizer.get(DECAY_KEY) is False:
            optimizer.exclude_from_weight_decay(var_list=variables_without_decay(variables))
        # Around the optimizer with its exclusions, which must be set before it is built.
        if scales_loss:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    return make
