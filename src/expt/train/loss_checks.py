"""Checks that find mistakes in losses and metrics on a few examples, with made-up outputs.

The outputs of an untrained model would not do: zeros, or the outputs of dead units, can hide a
mistake in a loss or look like one.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import UserError
from expt.train.input.batch import values_and_weights
from expt.train.objective import Function

Array = NDArray[np.float64]

_ROUNDING = 5e-7  # the error of float32, relative to the largest value
_MOST_CLASSES = 8  # the maximum number of classes that are tried as targets
_ALONE = 4  # the number of examples whose losses are computed one by one
_TOLERANCE = 1e-3  # the relative difference that counts as equal


def check_loss(loss: Function, targets: tf.Tensor, outputs: tf.Tensor) -> list[str]:
    """Checks that a model can learn its targets from a loss.

    Args:
        loss: Returns one value per example, from targets and outputs.
        targets: The targets of a batch.
        outputs: The outputs of the model for the batch, which are tried in addition to made-up
            outputs of the same shape.

    Returns:
        Notes about properties that may be intended, one sentence each.

    Raises:
        UserError: For all outputs that were tried, the gradient with respect to the outputs is 0,
            or the targets have no influence on it; or the shapes of targets and outputs are
            broadcast, so that each output is compared with the targets of all examples.
    """
    tried = _made_up(targets, outputs)
    # First, because its message is the most specific: a broadcast can fail the other checks too.
    notes = _check_alone(loss, targets, tried[1])
    _check_gradient(loss, targets, tried)
    _check_influence(loss, targets, tried)
    return notes


def check_metric(name: str, metric: Function, targets: tf.Tensor, outputs: tf.Tensor) -> None:
    """Checks that a metric of values compares each output with its own target.

    Raises:
        UserError: The metric is the mean, or the root of the mean, over all pairs of outputs and
            targets, as results from broadcasting the shapes (n,) and (n, 1).
    """
    # With labels, few values are possible, and the two means can be equal by chance.
    if targets.dtype.is_integer or len(targets) < 2:
        return
    outputs = _made_up(targets, outputs)[1]
    try:
        together, alone = _in_pairs(lambda t, o: [metric(t, o)], targets, outputs)
    except Exception:  # noqa: BLE001  a metric may not accept a single example
        return
    for value, values in ((together[0], alone), (together[0] ** 2, alone**2)):
        own, all_pairs = np.diag(values).mean(), values.mean()
        if not np.isclose(value, own, rtol=_TOLERANCE) and np.isclose(
            value, all_pairs, rtol=_TOLERANCE / 10
        ):
            raise UserError(_broadcast_message(f"metric.{name}", targets, outputs))


def _made_up(targets: tf.Tensor, outputs: tf.Tensor) -> Sequence[tf.Tensor]:
    """Returns the model's outputs, and others near to and far from the targets, on both sides."""
    # Near and far, since a clipped loss is constant on one side or beyond a limit.
    noise = np.random.default_rng(0).standard_normal(outputs.shape)
    if targets.dtype.is_integer:
        center, spread = np.zeros(outputs.shape), np.ones(1)
    else:
        center = np.roll(np.asarray(targets, np.float64), 1, axis=0)
        spread = center.std(axis=0, keepdims=True)
        spread = np.where(spread > 0, spread, 1.0)
        if center.shape != tuple(outputs.shape):
            center, spread = np.zeros(outputs.shape), np.ones(1)
    shifts = [factor * spread * noise for factor in (1, -1, 10, -10)]
    return [outputs, *(tf.constant(center + shift, outputs.dtype) for shift in shifts)]


def _check_gradient(loss: Function, targets: tf.Tensor, tried: Sequence[tf.Tensor]) -> None:
    is_zero = []
    for outputs in tried:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            values, _ = values_and_weights(loss(targets, outputs))
        gradient = tape.gradient(values, outputs)
        # Then no variable has a gradient either, and `check_gradients` names the variables.
        if gradient is None:
            return
        # The change of the loss if the outputs were scaled. Not the gradient itself, since
        # rounding errors remain where the exact gradient is 0, as for a loss of angles.
        reach = np.abs(np.asarray(gradient, np.float64) * np.asarray(outputs))
        if np.isfinite(reach).all() and np.isfinite(values).all():
            is_zero.append(reach.max() <= _ROUNDING * np.abs(values).max())
    if is_zero and all(is_zero):
        raise UserError(
            "loss: its gradient with respect to the outputs is 0 for all outputs that were tried, "
            "so the model would learn nothing. Expected a loss that changes with the outputs; is "
            "it clipped, rounded, or normalized to a constant?"
        )


def _check_influence(loss: Function, targets: tf.Tensor, tried: Sequence[tf.Tensor]) -> None:
    """Checks that the targets influence the gradient, not only a term without the outputs."""
    others = _other_targets(targets, tried[0].shape[-1])
    if not others:
        return
    rows = []
    for outputs in tried:
        row = [values_and_weights(loss(t, outputs))[0] for t in (targets, *others)]
        values = np.asarray([np.asarray(value, np.float64) for value in row])
        if np.isfinite(values).all():
            rows.append(values)
    if len(rows) < 2:
        return
    largest = max(np.abs(values).max() for values in rows)
    differences = [values - values[:1] for values in rows]
    if all((np.abs(of - differences[0]) <= _ROUNDING * largest).all() for of in differences[1:]):
        raise UserError(
            "loss: its gradient does not depend on the targets: with other targets, its values "
            "stayed the same, or changed by the same amount for all outputs that were tried. "
            "Expected a loss that compares outputs with targets; the targets come first: "
            "loss(targets, outputs)."
        )


def _other_targets(targets: tf.Tensor, num_outputs: int) -> list[tf.Tensor]:
    """Returns the targets in other orders, and other labels; none if all values are the same."""
    values = np.asarray(targets)
    made = [np.roll(values, 1, axis=0), values[::-1]]
    # A loss may depend on classes that are missing in the batch.
    if targets.dtype.is_integer:
        numbers = np.linspace(0, num_outputs - 1, min(num_outputs, _MOST_CLASSES))
        made += [np.full_like(values, number) for number in numbers.astype(int)]
    return [tf.constant(other) for other in made if (other != values).any()]


def _check_alone(loss: Function, targets: tf.Tensor, outputs: tf.Tensor) -> list[str]:
    """Checks that the loss of an example does not depend on the other examples of the batch."""
    if len(targets) < 2:
        return []
    try:
        together, alone = _in_pairs(
            lambda t, o: values_and_weights(loss(t, o))[0], targets, outputs
        )
    except Exception:  # noqa: BLE001  a loss may not accept a single example
        return []
    if _is_near(together, np.diag(alone)):
        return []
    # The (n, n) values of a broadcast, reduced along either axis.
    for axis, reduce in itertools.product((0, 1), (np.mean, np.sum)):
        if _is_near(together, reduce(alone, axis=axis)):
            raise UserError(_broadcast_message("loss", targets, outputs))
    # Only a note: losses that compare the examples of a batch are legitimate.
    return [
        "the loss of an example depends on the other examples of its batch. val/loss and test/loss "
        "are computed on a whole split at once, so they can't be compared with train/loss."
    ]


def _in_pairs(
    function: Callable[[tf.Tensor, tf.Tensor], Any], targets: tf.Tensor, outputs: tf.Tensor
) -> tuple[Array, Array]:
    """Computes a function of targets and outputs for some examples, together and in all pairs.

    Returns:
        The values of the examples computed together, shape [examples] for a loss and [1] for a
        metric, and the value of each output with each target, shape [outputs, targets].

    Raises:
        ValueError: The function does not return one value per pair, or a value is not finite.
    """
    count = min(_ALONE, len(targets))
    together = np.asarray(function(targets[:count], outputs[:count]), np.float64).reshape(-1)
    alone = np.array(
        [
            np.asarray(function(targets[t : t + 1], outputs[o : o + 1]), np.float64).reshape(-1)
            for o, t in itertools.product(range(count), repeat=2)
        ]
    ).reshape(count, count)
    if not np.isfinite(alone).all() or not np.isfinite(together).all():
        raise ValueError
    return together, alone


def _is_near(values: Array, expected: Array) -> bool:
    if values.shape != expected.shape:
        return False
    scale = max(np.abs(expected).max(), np.finfo(np.float64).tiny)
    return bool((np.abs(values - expected) <= _TOLERANCE * scale).all())


def _broadcast_message(where: str, targets: tf.Tensor, outputs: tf.Tensor) -> str:
    return (
        f"{where}: it compares each output with the targets of all examples of the batch. That "
        "happens if shapes such as (n,) and (n, 1) are broadcast to (n, n). The targets have the "
        f"shape {tuple(targets.shape)} and the outputs {tuple(outputs.shape)}. Give both the same "
        "number of axes before they are combined, for example with targets[:, None]."
    )
