"""The objective of training: its loss and metrics, as functions of targets and outputs."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from expt.config.declarations import TAKES_KEY, TARGETS_KEY, batches_per_step, metrics_for, task_of
from expt.config.instantiate import bind_part
from expt.config.job import Job
from expt.config.outputs import model_outputs
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.parts.data.scale import Scale
from expt.parts.models.links import link_function
from expt.train.class_weights import CLASS_WEIGHTS, class_weights
from expt.train.compilation import convert
from expt.train.data_loading import class_number

Function = Callable[..., Any]
"""A loss or metric: a function of targets and outputs; a metric may also take `weights`."""

_TAKES_WEIGHTS = "takes_weights"


@dataclass(frozen=True)
class Objective:
    """The loss that is minimized, and the metrics that are reported.

    Attributes:
        loss: A function of targets and outputs that returns one value per example, shape [batch],
            or a pair of values and their weights.
        metrics: By name, functions of targets and outputs that return one number. Those with an
            argument `weights` receive the weights of the examples, if the data has weights.
        predict: Converts outputs to predictions, such as logits to probabilities.
        link: The function that `predict` applies: `softmax`, `sigmoid` or `softplus`; None for the
            identity.
        num_parts: The number of equal parts (micro-batches) of a batch over which a training step
            accumulates gradients.
    """

    loss: Function
    metrics: Mapping[str, Function]
    predict: Callable[[tf.Tensor], tf.Tensor]
    link: str | None = None
    num_parts: int = 1

    @property
    def unweighted(self) -> list[str]:
        """The names of the metrics that ignore the weights of the examples."""
        return [name for name, metric in self.metrics.items() if not takes_weights(metric)]


def measure(
    metrics: Mapping[str, Function],
    targets: tf.Tensor,
    outputs: tf.Tensor,
    weights: tf.Tensor | None,
) -> dict[str, tf.Tensor]:
    """Computes metrics by name.

    Args:
        metrics: Functions of targets and outputs, by name.
        targets: Labels, shape [examples], or values, shape [examples, ...].
        outputs: The outputs of the model, shape [examples, ...].
        weights: The weights of the examples, shape [examples]; None if all count alike.

    Returns:
        One scalar per metric.
    """
    values = {}
    for name, metric in metrics.items():
        is_weighted = weights is not None and takes_weights(metric)
        options = {"weights": weights} if is_weighted else {}
        values[name] = metric(targets, outputs, **options)
    return values


def takes_weights(metric: Function) -> bool:
    """Returns whether a metric has an argument `weights` that the config does not set."""
    of_wrapped = getattr(metric, _TAKES_WEIGHTS, None)
    if of_wrapped is not None:
        return bool(of_wrapped)
    given = metric.keywords if isinstance(metric, functools.partial) else {}
    return "weights" in inspect.signature(metric).parameters and "weights" not in given


def outputs_of(model: keras.Model, inputs: tf.Tensor, *, training: bool) -> tf.Tensor:
    """Runs a model, and returns its outputs as float32, or as float64 if they are float64."""
    outputs = model(inputs, training=training)
    # float16 of mixed precision is too coarse for a loss. Outputs that are scaled back to the unit
    # of the targets are float64, because float32 may not hold their digits.
    return outputs if outputs.dtype == tf.float64 else tf.cast(outputs, tf.float32)


def output_type(model: keras.Model) -> tf.DType:
    """Returns the type of the tensor that `outputs_of` returns for a model."""
    return tf.float64 if model.outputs[0].dtype == "float64" else tf.float32


def takes_weights_like(metric: Function) -> Callable[[Function], Function]:
    """Returns a decorator that marks a wrapper as taking weights if and only if `metric` does."""

    # Not `functools.wraps`: wrappers take any options, and a partial has no name to copy.
    def decorate(function: Function) -> Function:
        setattr(function, _TAKES_WEIGHTS, takes_weights(metric))
        return function

    return decorate


def penalty_of(model: keras.Model) -> tf.Tensor:
    """Returns the sum of the losses that a model added in its last call, a scalar.

    These are the penalties on its weights and on the activations of its layers, and the values
    that its layers passed to `add_loss`. The dtype is `keras.config.floatx()`.
    """
    dtype = keras.config.floatx()  # float32, except where gradients are checked in float64
    penalties = [tf.cast(penalty, dtype) for penalty in model.losses]
    return tf.add_n(penalties) if penalties else tf.constant(0.0, dtype)


def with_targets_cast(function: Function) -> Function:
    """Wraps a loss or metric so that it receives targets of the outputs' type; labels stay int."""
    converted = convert(function)

    @takes_weights_like(function)
    def with_targets_cast(targets: tf.Tensor, outputs: tf.Tensor, **options: Any) -> Any:
        if targets.dtype.is_floating:
            targets = tf.cast(targets, outputs.dtype)
        return converted(targets, outputs, **options)

    return with_targets_cast


def with_log_odds(metric: Function, link: str | None) -> Function:
    """Wraps a metric that ranks examples so that it receives log-odds instead of logits.

    The log-odds of class k, log p_k / (1 - p_k), have the same order as the probabilities p_k, but
    do not saturate: in float32, the probability is 1 as soon as logits are 17 apart.

    Args:
        metric: A function of labels and scores, shape [examples, classes].
        link: The function that turns outputs z into probabilities. For `softmax` the log-odds are
            z_k - log Σ_{j≠k} exp z_j, for `sigmoid` z_k. Without a link, as for hinge losses, only
            differences of scores have a meaning, and the margin z_k - max_{j≠k} z_j is used.
    """

    @takes_weights_like(metric)
    def with_log_odds(targets: tf.Tensor, outputs: tf.Tensor, **options: Any) -> Any:
        return metric(targets, log_odds(outputs, link), **options)

    return with_log_odds


def log_odds(outputs: tf.Tensor, link: str | None) -> tf.Tensor:
    """Returns the log-odds of each class, or the margins without a link; see `with_log_odds`.

    Args:
        outputs: Logits or scores, shape [examples, classes].
        link: `softmax`, `sigmoid`, or None.

    Returns:
        float64 of shape [examples, classes].
    """
    # float32 would round differences of logits.
    logits = tf.cast(outputs, tf.float64)
    if link == "sigmoid":
        return logits
    # For two classes, both formulas are the difference of the logits.
    if outputs.shape[-1] == 2:
        return logits - tf.reverse(logits, axis=[-1])
    # Logits that differ by a constant have equal probabilities. Without this shift, rounding would
    # make their log-odds differ, and break ties in the ranking.
    logits -= tf.reduce_max(logits, axis=-1, keepdims=True)
    # Only for the largest logit, the sum over the others is computed directly. For the rest, p_k
    # is at most 1/2, so that log (1 - p_k) loses no digits.
    is_largest = tf.one_hot(tf.argmax(logits, axis=-1), logits.shape[-1]) > 0
    rest = tf.where(is_largest, tf.float64.min, logits)
    if link is None:
        of_rest, largest = (tf.reduce_max(z, axis=-1, keepdims=True) for z in (rest, logits))
        return logits - tf.where(is_largest, of_rest, largest)
    of_rest, of_all = (tf.reduce_logsumexp(z, axis=-1, keepdims=True) for z in (rest, logits))
    log_p = tf.where(is_largest, tf.float64.min, logits - of_all)
    return tf.where(is_largest, logits - of_rest, log_p - tf.math.log1p(-tf.exp(log_p)))


def make_objective(job: Job, dataset: Dataset) -> Objective:
    """Returns the objective that a config names, for a data set.

    If the targets are standardized, the loss is computed on standardized values. Classification
    metrics receive logits, or log-odds if their config declares `_takes_: log_odds`; all other
    metrics receive predictions.

    Raises:
        UserError: The class weights, or the positive class of a metric, do not fit the data.
    """
    config, task = job.config, task_of(job, dataset.task)
    node, weights = config.loss, class_weights(job, dataset)
    loss = bind_part(node if weights is None else {**node, CLASS_WEIGHTS: weights}, "loss")
    _check_required(loss, "loss", dataset, supplied=())
    scale = output_scale(job, dataset, task)
    link = model_outputs(config.loss, task).link
    predict = link_function(link)
    metrics = {
        name: _make_metric(name, node, dataset, link)
        for name, node in metrics_for(job, task).items()
    }
    if task != "classification":
        metrics = {name: _with_predictions(metric, predict) for name, metric in metrics.items()}
    return Objective(
        loss=with_targets_cast(loss) if scale is None else _with_standardized_values(loss, scale),
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
    made = bind_part(node, f"metric.{name}")
    _check_required(
        made, f"metric.{name}", dataset, () if dataset.train.weights is None else ("weights",)
    )
    metric = with_targets_cast(made)
    return with_log_odds(metric, link) if TAKES_KEY in node else metric


def _check_required(
    function: Function, where: str, dataset: Dataset, supplied: Sequence[str]
) -> None:
    """Checks that a loss or metric needs no argument except targets, outputs and supplied ones.

    Raises:
        UserError: It has another argument without a default and without a value in the config, or
            it is a class.
    """
    target = function.func if isinstance(function, functools.partial) else function
    if isinstance(target, type):
        raise UserError(
            f"{where}: {target.__module__}.{target.__qualname__} is a class; expected a function "
            "of targets and outputs."
        )
    parameters = list(inspect.signature(function).parameters.values())[2:]
    for one in parameters:
        is_single = one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        if not is_single or one.default is not one.empty or one.name in supplied:
            continue
        if one.name == "weights" and where != "loss":
            raise UserError(
                f"{where}: data={dataset.name} has no weights of examples, but the argument "
                "`weights` is required. Give it the default None: weights=None"
            )
        raise UserError(
            f"{where}.{one.name} is required but has no value. Add it to the yaml, or set it with "
            f"+{where}.{one.name}=…"
        )


def output_scale(job: Job, dataset: Dataset, task: str) -> Scale | None:
    """Returns the scale by which targets are standardized; None if they are used unchanged."""
    # A loss that declares a range of targets, such as 0 to 1, must see them in that range.
    if TARGETS_KEY in job.config.loss:
        return None
    scales = {"regression": dataset.target_scale, "reconstruction": dataset.input_scale}
    return scales.get(task)


def _with_predictions(metric: Function, predict: Callable[[tf.Tensor], tf.Tensor]) -> Function:
    @takes_weights_like(metric)
    def with_predictions(targets: tf.Tensor, outputs: tf.Tensor, **options: Any) -> Any:
        return metric(targets, predict(outputs), **options)

    return with_predictions


def _with_standardized_values(loss: Function, scale: Scale) -> Function:
    """Wraps a loss so that it receives standardized targets and outputs."""
    converted = convert(loss)

    # Subtracted in float64, since targets with a large mean lose digits in float32; the loss
    # itself receives `keras.config.floatx()`, float32, as for targets without a scale.
    def with_standardized_values(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        standardized = (
            (tf.cast(x, tf.float64) - scale.mean) / scale.deviation for x in (targets, outputs)
        )
        return converted(*(tf.cast(x, keras.config.floatx()) for x in standardized))

    return with_standardized_values
