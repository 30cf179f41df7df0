"""The objective of training: the loss and the metrics, as functions of targets and outputs."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from expt.config.compose import Job
from expt.config.declarations import TAKES_KEY, TARGETS_KEY, batches_per_step, metrics_for, task_of
from expt.config.instantiate import part
from expt.config.outputs import model_outputs
from expt.parts.data.dataset import Dataset
from expt.parts.data.scale import Scale
from expt.parts.models.links import link_function
from expt.train.class_weights import CLASS_WEIGHTS, class_weights
from expt.train.data_loading import class_number

Function = Callable[..., Any]
"""A loss or metric: a function of targets and outputs; a metric may take `weights`, too."""


_TAKES_WEIGHTS = "takes_weights"


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
        num_parts: In how many parts a training step computes the gradient of its batch, one after
            the other.
    """

    loss: Function
    metrics: Mapping[str, Function]
    predict: Callable[[tf.Tensor], tf.Tensor]
    link: str | None = None
    num_parts: int = 1

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
    of_wrapped = getattr(metric, _TAKES_WEIGHTS, None)
    if of_wrapped is not None:
        return bool(of_wrapped)
    given = metric.keywords if isinstance(metric, functools.partial) else {}
    return "weights" in inspect.signature(metric).parameters and "weights" not in given


def outputs_of(model: keras.Model, inputs: tf.Tensor, *, training: bool) -> tf.Tensor:
    """Runs a model; its outputs become float32, but for those in float64.

    A model of float16 gives float16, which is too coarse for a loss. One that gives values in the
    unit of standardised targets gives float64, as float32 can lack their digits.
    """
    outputs = model(inputs, training=training)
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def output_type(model: keras.Model) -> tf.DType:
    """Returns the type of what `outputs_of` returns for a model."""
    return tf.float64 if model.outputs[0].dtype == "float64" else tf.float32


def around(metric: Function) -> Callable[[Function], Function]:
    """Makes a function that passes weights on take them exactly if the metric within does.

    `functools.wraps` would do so, but AutoGraph fails on what it wraps around a partial.
    """

    def decorate(function: Function) -> Function:
        setattr(function, _TAKES_WEIGHTS, takes_weights(metric))
        return function

    return decorate


def penalty_of(model: keras.Model) -> tf.Tensor:
    """Returns what a model added to the loss of the batch that it was called on last.

    That is the sum of the penalties on its weights and on the activations of its layers, and of
    what its layers passed to `add_loss`.
    """
    penalties = [tf.cast(penalty, tf.float32) for penalty in model.losses]
    return tf.add_n(penalties) if penalties else tf.constant(0.0)


def of_one_type(function: Function) -> Function:
    """Gives a loss or metric values of the outputs' type; class numbers stay as they are."""

    @around(function)
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

    @around(metric)
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


def make_objective(job: Job, dataset: Dataset) -> Objective:
    """Makes the loss, on the scale of the targets if they have one, and the metrics.

    Metrics of classes are functions of logits; those of values see predictions.
    """
    config, task = job.config, task_of(job, dataset.task)
    node, weights = config.loss, class_weights(job, dataset)
    loss = part(node if weights is None else {**node, CLASS_WEIGHTS: weights}, "loss")
    scale = output_scale(job, dataset, task)
    link = model_outputs(config.loss, task).link
    predict = link_function(link)
    metrics = {
        name: _make_metric(name, node, dataset, link)
        for name, node in metrics_for(job, task).items()
    }
    if task != "classification":
        metrics = {name: _of_predictions(metric, predict) for name, metric in metrics.items()}
    return Objective(
        loss=of_one_type(loss) if scale is None else _on_scale(loss, scale),
        metrics=metrics,
        predict=predict,
        link=link,
        num_parts=batches_per_step(config),
    )


def _make_metric(
    name: str, node: Mapping[str, Any], dataset: Dataset, link: str | None
) -> Function:
    if node.get("positive") is not None and dataset.class_names:
        node = {**node, "positive": class_number(dataset, node["positive"], f"metric.{name}")}
    metric = of_one_type(part(node, f"metric.{name}"))
    return of_log_odds(metric, link) if TAKES_KEY in node else metric


def output_scale(job: Job, dataset: Dataset, task: str) -> Scale | None:
    """The scale of the targets; a loss that is for a range of values sees them as they are."""
    if TARGETS_KEY in job.config.loss:
        return None
    scales = {"regression": dataset.target_scale, "reconstruction": dataset.input_scale}
    return scales.get(task)


def _of_predictions(metric: Function, predict: Callable[[tf.Tensor], tf.Tensor]) -> Function:
    @around(metric)
    def of_predictions(targets: tf.Tensor, outputs: tf.Tensor, **options: Any) -> Any:
        return metric(targets, predict(outputs), **options)

    return of_predictions


def _on_scale(loss: Function, scale: Scale) -> Function:
    """Standardises targets and outputs in float64; the loss then sees float32."""

    def on_scale(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        standardised = (
            (tf.cast(x, tf.float64) - scale.mean) / scale.deviation for x in (targets, outputs)
        )
        return loss(*(tf.cast(x, tf.float32) for x in standardised))

    return on_scale
