"""One batch before training: would this train at all?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from expt.errors import UserError
from expt.train.input.batch import Batch, values_and_weights
from expt.train.loss_checks import check_loss, check_metric
from expt.train.objective import Objective, outputs_of


def preflight(
    model: keras.Model, objective: Objective, batch: Batch, expected: tuple[int, ...], data: str
) -> list[str]:
    """Runs a model, its loss and metrics forwards and backwards on a batch, and changes nothing.

    Args:
        model: Maps inputs to outputs.
        objective: Of targets and outputs.
        batch: Some examples.
        expected: The shape that the outputs must have.
        data: Where the shape comes from, for the message.

    Returns:
        What a user should know of loss and metrics, a sentence each.

    Raises:
        UserError: The outputs don't fit the data or are probabilities where the loss makes them,
            the loss is not one finite value for each example, a variable gets no gradient, a
            metric is not one number, or loss or metrics don't compare outputs with their targets.
    """
    with unchanged([model]), tf.GradientTape() as tape:
        outputs = outputs_of(model, batch.inputs, training=True)
        if tuple(outputs.shape) != expected:
            raise UserError(
                f"model: its outputs for a batch have the shape {tuple(outputs.shape)}; "
                f"data={data} needs {expected}."
            )
        values = check_values(objective.loss(batch.targets, outputs), len(batch.inputs))
    check_gradients(tape, values, model)
    _check_link(model, objective, batch.targets, outputs)
    notes = check_loss(objective.loss, batch.targets, outputs)
    for name, metric in objective.metrics.items():
        shape = tuple(tf.convert_to_tensor(metric(batch.targets, outputs)).shape)
        if shape != ():
            raise UserError(f"metric.{name}: it gave the shape {shape}; expected one number.")
        check_metric(name, metric, batch.targets, outputs)
    if batch.weights is not None:
        notes += [
            f"metric.{name} counts all examples alike: it has no argument `weights`."
            for name in objective.unweighted
        ]
    return notes


def check_values(loss: Any, size: int) -> tf.Tensor:
    """Checks that a loss gives one finite value for each example, and returns the values.

    Raises:
        UserError: It does not.
    """
    values, weights = values_and_weights(loss)
    if weights is not None and tuple(weights.shape) != (size,):
        raise UserError(
            f"loss: it gave weights of the shape {tuple(weights.shape)} for a batch of {size} "
            f"examples; expected one for each, {(size,)}."
        )
    if tuple(values.shape) != (size,):
        raise UserError(
            f"loss: it gave the shape {tuple(values.shape)} for a batch of {size} examples; "
            f"expected one value for each, {(size,)}. The mean is taken by the step."
        )
    if not np.isfinite(values).all():
        raise UserError("loss: it is not finite on the first batch, before any step.")
    return values


_LINKS = ("softmax", "sigmoid", "softplus")
_SUM_ROUNDING = 1e-3  # so much may float16 miss the sum 1 of probabilities


def _check_link(
    model: keras.Model, objective: Objective, targets: tf.Tensor, outputs: tf.Tensor
) -> None:
    """Checks that a model does not apply what its loss applies to the outputs.

    Raises:
        UserError: It does.
    """
    link, last = objective.link, last_activation(model)
    if link is None:
        return
    is_link = last == link or {last, link} == {"softmax", "sigmoid"}
    if targets.dtype.is_integer and link == "softmax" and outputs.shape[-1] > 1:
        # However it came about, as after a layer that only changes the shape.
        sums = np.asarray(tf.reduce_sum(outputs, axis=-1))
        are_shares = float(tf.reduce_min(outputs)) >= 0 and (abs(sums - 1) < _SUM_ROUNDING).all()
        is_link, last = is_link or bool(are_shares), last or "softmax"
    if is_link:
        raise UserError(
            f"model: it ends in a {last}, and the loss applies a {link} to its outputs once more; "
            "expected logits. Leave the last layer's activation out (activation=None): "
            "predictions get theirs from the loss."
        )


def last_activation(model: keras.Model) -> str | None:
    """Returns which of the functions that losses apply a model's last layer applies, if any."""
    layer: Any = model
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        history = getattr(layer.outputs[0], "_keras_history", None)
        if history is None or history.operation is layer:
            break
        layer = history.operation
    names = (type(layer).__name__, getattr(getattr(layer, "activation", None), "__name__", ""))
    return next((name.lower() for name in names if name.lower() in _LINKS), None)


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
