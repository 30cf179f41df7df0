"""Mistakes in losses and metrics that a few examples show, tried on made-up outputs.

Whatever a model gives at first, such as zeros or outputs of dead units, says nothing of its loss.
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

_ROUNDING = 5e-7  # of float32, relative to the largest value
_MOST_CLASSES = 8  # that are tried
_ALONE = 4  # examples whose losses are computed one by one
_TOLERANCE = 1e-3  # so much may a value computed alone differ


def check_loss(loss: Function, targets: tf.Tensor, outputs: tf.Tensor) -> list[str]:
    """Checks that a loss can teach a model its targets.

    Args:
        loss: Gives one value for each example.
        targets: Of a batch.
        outputs: What the model gives for it; its shape counts, and it is one of those tried.

    Returns:
        What is no mistake for certain, a sentence each.

    Raises:
        UserError: The gradient with respect to the outputs is 0 or the targets have no influence
            on what is learned, whatever the outputs; or the shapes of targets and outputs are
            broadcast, so that the targets of all examples count for each.
    """
    tried = _made_up(targets, outputs)
    notes = _check_alone(loss, targets, tried[1])  # first, for it says most
    _check_gradient(loss, targets, tried)
    _check_influence(loss, targets, tried)
    return notes


def check_metric(name: str, metric: Function, targets: tf.Tensor, outputs: tf.Tensor) -> None:
    """Checks that a metric of values compares each output with its own target.

    Raises:
        UserError: It is the mean, or the root of it, over all pairs of outputs and targets, as
            shapes (n,) and (n, 1) give. Of classes this can't be told from chance.
    """
    if targets.dtype.is_integer or len(targets) < 2:
        return
    outputs = _made_up(targets, outputs)[1]
    try:
        together, alone = _in_pairs(lambda t, o: [metric(t, o)], targets, outputs)
    except Exception:  # noqa: BLE001  a metric may refuse a single example
        return
    for value, values in ((together[0], alone), (together[0] ** 2, alone**2)):
        own, all_pairs = np.diag(values).mean(), values.mean()
        if not np.isclose(value, own, rtol=_TOLERANCE) and np.isclose(
            value, all_pairs, rtol=_TOLERANCE / 10
        ):
            raise UserError(_told_of_broadcast(f"metric.{name}", targets, outputs))


def _made_up(targets: tf.Tensor, outputs: tf.Tensor) -> Sequence[tf.Tensor]:
    """Returns the model's outputs, and some that are near the targets and far, on both sides."""
    noise = np.random.default_rng(0).standard_normal(outputs.shape)
    if targets.dtype.is_integer:
        centre, spread = np.zeros(outputs.shape), np.ones(1)
    else:
        centre = np.roll(np.asarray(targets, np.float64), 1, axis=0)
        spread = centre.std(axis=0, keepdims=True)
        spread = np.where(spread > 0, spread, 1.0)
        if centre.shape != tuple(outputs.shape):
            centre, spread = np.zeros(outputs.shape), np.ones(1)
    shifts = [factor * spread * noise for factor in (1, -1, 10, -10)]
    return [outputs, *(tf.constant(centre + shift, outputs.dtype) for shift in shifts)]


def _check_gradient(loss: Function, targets: tf.Tensor, tried: Sequence[tf.Tensor]) -> None:
    is_zero = []
    for outputs in tried:
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            values, _ = values_and_weights(loss(targets, outputs))
        gradient = tape.gradient(values, outputs)
        if gradient is None:  # then no variable has one, which is told by name
            return
        # What a change of the outputs by themselves would give; of an angle, rounding remains.
        reach = np.abs(np.asarray(gradient, np.float64) * np.asarray(outputs))
        if np.isfinite(reach).all() and np.isfinite(values).all():
            is_zero.append(reach.max() <= _ROUNDING * np.abs(values).max())
    if is_zero and all(is_zero):
        raise UserError(
            "loss: its gradient with respect to the outputs is 0 for all outputs that were tried, "
            "so that nothing would be learned. Expected a loss that changes with the outputs; is "
            "it clipped, rounded, or normalized to a constant?"
        )


def _check_influence(loss: Function, targets: tf.Tensor, tried: Sequence[tf.Tensor]) -> None:
    """Checks that other targets change more than a term that the outputs have no part in."""
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
            "loss: what it makes of the outputs does not depend on the targets: they were changed, "
            "and for all outputs that were tried its values stayed the same or changed by the same "
            "amount. Expected a loss that compares outputs with targets, which come first: "
            "loss(targets, outputs)."
        )


def _other_targets(targets: tf.Tensor, num_outputs: int) -> list[tf.Tensor]:
    """Returns targets of other examples, or other classes; none if all values are the same."""
    values = np.asarray(targets)
    made = [np.roll(values, 1, axis=0), values[::-1]]
    if targets.dtype.is_integer:  # a loss may be about classes that the batch lacks
        numbers = np.linspace(0, num_outputs - 1, min(num_outputs, _MOST_CLASSES))
        made += [np.full_like(values, number) for number in numbers.astype(int)]
    return [tf.constant(other) for other in made if (other != values).any()]


def _check_alone(loss: Function, targets: tf.Tensor, outputs: tf.Tensor) -> list[str]:
    """Checks that the value of an example is that of the example alone."""
    if len(targets) < 2:
        return []
    try:
        together, alone = _in_pairs(
            lambda t, o: values_and_weights(loss(t, o))[0], targets, outputs
        )
    except Exception:  # noqa: BLE001  a loss may refuse a single example
        return []
    if _near(together, np.diag(alone)):
        return []
    for axis, of_all in itertools.product((0, 1), (np.mean, np.sum)):
        if _near(together, of_all(alone, axis=axis)):
            raise UserError(_told_of_broadcast("loss", targets, outputs))
    return [
        "the loss gives an example another value within a batch than alone. val/loss and test/loss "
        "are computed on a whole split at once, so that they can't be compared with train/loss."
    ]


def _in_pairs(
    function: Callable[[tf.Tensor, tf.Tensor], Any], targets: tf.Tensor, outputs: tf.Tensor
) -> tuple[Array, Array]:
    """Returns the values of some examples together, and that of each output with each target.

    Raises:
        ValueError: The values alone are not one for each pair, or not finite.
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


def _near(values: Array, expected: Array) -> bool:
    if values.shape != expected.shape:
        return False
    scale = max(np.abs(expected).max(), np.finfo(np.float64).tiny)
    return bool((np.abs(values - expected) <= _TOLERANCE * scale).all())


def _told_of_broadcast(where: str, targets: tf.Tensor, outputs: tf.Tensor) -> str:
    return (
        f"{where}: it compares each output with the targets of all examples of the batch, as "
        "shapes such as (n,) and (n, 1) do, which become (n, n). Targets have the shape "
        f"{tuple(targets.shape)} and outputs {tuple(outputs.shape)}; give both the same number of "
        "axes before they meet, as targets[:, None] does."
    )
