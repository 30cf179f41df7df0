"""One batch before training: would this train at all?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from expt.errors import UserError
from expt.train.batch import Batch
from expt.train.objective import Objective, outputs_of


def preflight(
    model: keras.Model, objective: Objective, batch: Batch, expected: tuple[int, ...], data: str
) -> None:
    """Runs a model, its loss and metrics forwards and backwards on a batch, and changes nothing.

    Args:
        model: Maps inputs to outputs.
        objective: Of targets and outputs.
        batch: Some examples.
        expected: The shape that the outputs must have.
        data: Where the shape comes from, for the message.

    Raises:
        UserError: The outputs don't fit the data, the loss is not one finite value for each
            example, a variable gets no gradient, or a metric is not one number.
    """
    with unchanged([model]), tf.GradientTape() as tape:
        outputs = outputs_of(model, batch.inputs, training=True)
        if tuple(outputs.shape) != expected:
            raise UserError(
                f"model: its outputs for a batch have the shape {tuple(outputs.shape)}; "
                f"data={data} needs {expected}."
            )
        values = objective.loss(batch.targets, outputs)
        check_values(values, len(batch.inputs))
    check_gradients(tape, values, model)
    for name, metric in objective.metrics.items():
        shape = tuple(tf.convert_to_tensor(metric(batch.targets, outputs)).shape)
        if shape != ():
            raise UserError(f"metric.{name}: it gave the shape {shape}; expected one number.")


def check_values(values: tf.Tensor, size: int) -> None:
    """Checks that a loss gives one finite value for each example.

    Raises:
        UserError: It does not.
    """
    if tuple(values.shape) != (size,):
        raise UserError(
            f"loss: it gave the shape {tuple(values.shape)} for a batch of {size} examples; "
            f"expected one value for each, {(size,)}. The mean is taken by the step."
        )
    if not np.isfinite(values).all():
        raise UserError("loss: it is not finite on the first batch, before any step.")


def check_gradients(tape: tf.GradientTape, values: tf.Tensor, model: keras.Model) -> None:
    """Checks that every variable of a model has a gradient.

    Raises:
        UserError: The loss does not depend on one.
    """
    variables = model.trainable_variables
    gradients = tape.gradient(values, variables)
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    if missing:
        raise UserError(f"model: the loss does not depend on {', '.join(missing)}.")


@contextmanager
def unchanged(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Restores batch statistics and the states of random layers: runs must not see this batch."""
    states = [(v, v.numpy()) for network in networks for v in network.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in states:
            variable.assign(value)
