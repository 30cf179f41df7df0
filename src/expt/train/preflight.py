"""Checks of the model, the loss and the metrics on one batch, before training."""

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
    """Checks a model, its loss and its metrics on a batch, forward and backward.

    All variables keep their values.

    Args:
        model: Maps inputs to outputs.
        objective: The loss and the metrics.
        batch: Some examples.
        expected: The shape that the outputs must have.
        data: The name of the data set, for messages.

    Returns:
        Notes about the loss and the metrics, one sentence each.

    Raises:
        UserError: The outputs do not have the shape that the data needs, or are probabilities
            where the loss expects logits; the loss is not one finite value per example; a variable
            has no gradient; a metric is not one number; or the loss or a metric does not compare
            each output with its own target.
    """
    with preserve_states([model]), tf.GradientTape() as tape:
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
        _check_number(name, metric(batch.targets, outputs))
        check_metric(name, metric, batch.targets, outputs)
    if batch.weights is not None:
        notes += [
            f"metric.{name} ignores the weights of the examples: it has no argument `weights`."
            for name in objective.unweighted
        ]
    return notes


def _check_number(name: str, value: Any) -> None:
    """Checks that a metric has returned one number."""
    try:
        tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:  # such as None
        raise UserError(
            f"metric.{name}: it returned {_kind(value)}; expected one number."
        ) from error
    if tensor.dtype == tf.string:
        raise UserError(f"metric.{name}: it returned text; expected one number.")
    if tensor.shape != ():
        shape = tuple(tensor.shape)
        raise UserError(f"metric.{name}: it returned the shape {shape}; expected one number.")


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def check_values(loss: Any, size: int) -> tf.Tensor:
    """Checks that a loss has returned one finite value per example.

    Args:
        loss: The return value of the loss: values, or a pair of values and their weights.
        size: The number of examples.

    Returns:
        The values, shape [size].

    Raises:
        UserError: The values or weights have another shape, or a value is not finite.
    """
    values, weights = values_and_weights(loss)
    if not tf.is_tensor(values):
        raise UserError(
            f"loss: it returned {_kind(values)}; expected a tensor with one value per example, "
            f"{(size,)}, computed by operations of TensorFlow or Keras, which have gradients."
        )
    if weights is not None and tuple(weights.shape) != (size,):
        raise UserError(
            f"loss: it returned weights of the shape {tuple(weights.shape)} for a batch of {size} "
            f"examples; expected one weight per example, {(size,)}."
        )
    if tuple(values.shape) != (size,):
        raise UserError(
            f"loss: it returned the shape {tuple(values.shape)} for a batch of {size} examples; "
            f"expected one value per example, {(size,)}. The training step computes the mean."
        )
    if not np.isfinite(values).all():
        raise UserError("loss: it is not finite on the first batch, before any step.")
    return values


_LINKS = ("softmax", "sigmoid", "softplus")
_SUM_ROUNDING = 1e-3  # the sum of float16 probabilities may differ from 1 by so much


def _check_link(
    model: keras.Model, objective: Objective, targets: tf.Tensor, outputs: tf.Tensor
) -> None:
    """Checks that the outputs of a model are logits where its loss expects logits.

    Raises:
        UserError: The model already applies the softmax or sigmoid that the loss applies.
    """
    link, last = objective.link, last_activation(model)
    if link is None:
        return
    is_link = last == link or {last, link} == {"softmax", "sigmoid"}
    if targets.dtype.is_integer and link == "softmax" and outputs.shape[-1] > 1:
        # By the values, too: the last layer does not show it if, for example, a layer that only
        # changes the shape follows the softmax.
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
    """Returns the name of the last layer's activation if it is one that losses apply, else None."""
    layer: Any = model
    # The last layer of a nested model is that of the innermost one.
    while isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        history = getattr(layer.outputs[0], "_keras_history", None)
        if history is None or history.operation is layer:
            break
        layer = history.operation
    names = (type(layer).__name__, getattr(getattr(layer, "activation", None), "__name__", ""))
    return next((name.lower() for name in names if name.lower() in _LINKS), None)


def check_gradients(tape: tf.GradientTape, values: tf.Tensor, model: keras.Model) -> None:
    """Checks that every trainable variable of a model has a gradient.

    Args:
        tape: The tape that has recorded the computation of `values`.
        values: The losses of the examples.
        model: The model.

    Raises:
        UserError: The loss does not depend on one of the variables, or on none.
    """
    variables = model.trainable_variables
    gradients = tape.gradient(values, variables)
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    if len(missing) == len(variables):
        raise UserError(
            "loss: it has no gradient with respect to any weight of the model. Comparisons, "
            "rounding, argmax and casts to whole numbers have none."
        )
    if missing:
        raise UserError(f"model: the loss does not depend on {', '.join(missing)}.")


@contextmanager
def preserve_states(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Restores the non-trainable variables of the networks at the end of the block.

    These are batch statistics and the states of random layers: a run must have the same results
    whether or not its networks were called for a check or a hook.
    """
    states = [(v, v.numpy()) for network in networks for v in network.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in states:
            variable.assign(value)
