"""What a model learns to do, as functions of its outputs."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

Function = Callable[..., Any]
"""A loss or metric: a function of targets and outputs; a metric may take `weights`, too."""


@dataclass(frozen=True)
class Objective:
    """What is to be made small, and what is to be reported of it.

    Attributes:
        loss: Gives one value for each example, from targets and outputs; or a pair of values and
            their weights.
        metrics: By name, functions of targets and outputs that give one number. Those that have an
            argument `weights` get the weights of the examples, if these have any.
        predict: Turns outputs into predictions, such as logits of classes into probabilities.
        link: What `predict` applies: `softmax`, `sigmoid` or `softplus`; None for nothing.
    """

    loss: Function
    metrics: Mapping[str, Function]
    predict: Callable[[tf.Tensor], tf.Tensor]
    link: str | None = None

    @property
    def unweighted(self) -> list[str]:
        """The names of the metrics that count all examples alike, whatever their weights."""
        return [name for name, metric in self.metrics.items() if not takes_weights(metric)]


def measure(
    metrics: Mapping[str, Function],
    targets: tf.Tensor,
    outputs: tf.Tensor,
    weights: tf.Tensor | None,
) -> dict[str, tf.Tensor]:
    """Computes metrics; `weights` are those of the examples, shape [examples]."""
    values = {}
    for name, metric in metrics.items():
        is_weighted = weights is not None and takes_weights(metric)
        options = {"weights": weights} if is_weighted else {}
        values[name] = metric(targets, outputs, **options)
    return values


def takes_weights(metric: Function) -> bool:
    """Whether a metric has an argument `weights` that no config gives a value."""
    metric = inspect.unwrap(metric)
    given = metric.keywords if isinstance(metric, functools.partial) else {}
    return "weights" in inspect.signature(metric).parameters and "weights" not in given


def outputs_of(model: keras.Model, inputs: tf.Tensor, *, training: bool) -> tf.Tensor:
    """Runs a model; its outputs become float32, but for those in float64.

    A model of float16 gives float16, which is too coarse for a loss. One that gives values in the
    unit of standardised targets gives float64, as float32 can lack their digits.
    """
    outputs = model(inputs, training=training)
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def penalty_of(model: keras.Model) -> tf.Tensor:
    """Returns what a model added to the loss of the batch that it was called on last.

    That is the sum of the penalties on its weights and on the activations of its layers, and of
    what its layers passed to `add_loss`.
    """
    penalties = [tf.cast(penalty, tf.float32) for penalty in model.losses]
    return tf.add_n(penalties) if penalties else tf.constant(0.0)


def of_one_type(function: Function) -> Function:
    """Gives a loss or metric values of the outputs' type; class numbers stay as they are."""

    @functools.wraps(function)
    def of_one_type(targets: tf.Tensor, outputs: tf.Tensor, **options: Any) -> Any:
        if targets.dtype.is_floating:
            targets = tf.cast(targets, outputs.dtype)
        return function(targets, outputs, **options)

    return of_one_type


def of_log_odds(metric: Function, link: str | None) -> Function:
    """Gives a metric that ranks by probability the log-odds of each class in place of logits.

    log p_k / (1 - p_k) has the order of p_k, and does not saturate: float32 probabilities of
    logits that are 17 apart are 1. In float64, so that differences of logits are not rounded.

    Args:
        metric: A function of class numbers and scores, shape [examples, classes].
        link: What makes probabilities of the outputs. Of `softmax` the log-odds are
            z_k - log Σ_{j≠k} exp z_j, of `sigmoid` z_k. Scores without a link, such as those of
            hinge, are compared with each other by their loss, so that only their differences have
            a meaning: the margin z_k - max_{j≠k} z_j.
    """

    @functools.wraps(metric)
    def of_log_odds(targets: tf.Tensor, outputs: tf.Tensor, **options: Any) -> Any:
        return metric(targets, log_odds(outputs, link), **options)

    return of_log_odds


def log_odds(outputs: tf.Tensor, link: str | None) -> tf.Tensor:
    """Returns what `of_log_odds` gives a metric, float64 of shape [examples, classes]."""
    logits = tf.cast(outputs, tf.float64)
    if link == "sigmoid":
        return logits
    if outputs.shape[-1] == 2:
        return logits - tf.reverse(logits, axis=[-1])
    logits -= tf.reduce_max(logits, axis=-1, keepdims=True)  # equal p, equal bits
    # Only the largest logit's others need a sum of their own: of the rest p_k is at most 1/2, so
    # that log (1 - p_k) loses no digits.
    is_largest = tf.one_hot(tf.argmax(logits, axis=-1), logits.shape[-1]) > 0
    rest = tf.where(is_largest, tf.float64.min, logits)
    if link is None:
        of_rest, largest = (tf.reduce_max(z, axis=-1, keepdims=True) for z in (rest, logits))
        return logits - tf.where(is_largest, of_rest, largest)
    of_rest, of_all = (tf.reduce_logsumexp(z, axis=-1, keepdims=True) for z in (rest, logits))
    log_p = tf.where(is_largest, tf.float64.min, logits - of_all)
    return tf.where(is_largest, logits - of_rest, log_p - tf.math.log1p(-tf.exp(log_p)))
