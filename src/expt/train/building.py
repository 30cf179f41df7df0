"""From a job's config to the objects that train: model, loss, optimizers; with TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.config.checks import (
    DIRECTION_KEY,
    INITIALIZER_KEY,
    STEP_KEY,
    TAKES_KEY,
    TARGETS_KEY,
    batches_per_step,
    check_watched,
    metrics_for,
    task_of,
)
from expt.config.compose import Job
from expt.config.instantiate import DECAY_KEY, HORIZON_KEY, call, part
from expt.config.outputs import model_outputs
from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.scale import Scale
from expt.parts.horizon import Held
from expt.parts.models.links import link_function
from expt.parts.models.standardization import standardized
from expt.parts.weight_decay import undecayed
from expt.train.assembly import class_number
from expt.train.class_weights import CLASS_WEIGHTS, class_weights
from expt.train.evaluate import Evaluate
from expt.train.learners.learner import Learner, MakeOptimizer
from expt.train.learners.supervised import Reconstruction, Supervised
from expt.train.loop import DrivenByValidation
from expt.train.model_ends import built, check_ends
from expt.train.objective import Function, Objective, around, of_log_odds, of_one_type, outputs_of
from expt.train.watch import Watch


@dataclass(frozen=True)
class Parts:
    """What the config names, made.

    Attributes:
        learner: The networks with their step, loss and optimizers.
        watch: The metric that chooses the best model.
        schedules: The learning rate schedules that validation drives; often none.
    """

    learner: Learner
    watch: Watch
    schedules: Sequence[DrivenByValidation]


def make_parts(job: Job, dataset: Dataset, total_steps: int) -> Parts:
    """Makes the learner that the config describes, the optimizers' variables included.

    Raises:
        UserError: A part refuses its arguments, or does not fit the data.
    """
    task, config = task_of(job, dataset.task), job.config
    made = make_model(job, dataset)
    schedule = make_schedule(job, total_steps)
    make_learner = _learner_class(job, task)
    learner = make_learner(made, make_objective(job, dataset), _optimizers(job, schedule))
    check_watched(job, learner.reported)
    watched = config["loop"]["watch"] or learner.watched
    direction = config["loop"]["direction"] or config["metric"].get(
        watched.removeprefix("val/"), {}
    ).get(DIRECTION_KEY)
    driven = [schedule] if hasattr(schedule, "consider") else []
    return Parts(learner, Watch(watched, larger_is_better=direction == "max"), driven)


def make_model(job: Job, dataset: Dataset) -> Any:
    """Makes what the model part makes, between the layers that standardise for it.

    Raises:
        UserError: The model refuses its arguments, or does not fit the data.
    """
    config, task = job.config, task_of(job, dataset.task)
    made = call(
        part(config["model"], "model"),
        "model",
        input_shape=dataset.input_shape,
        num_outputs=dataset.num_outputs,
        act=_Activation(part(config["act"], "act"), config["act"].get(INITIALIZER_KEY)),
    )
    if not isinstance(made, keras.Model):
        if STEP_KEY in config["model"]:  # such as a pair of models
            return made
        raise UserError(
            f"model: {config['model']['_target_']} returned {type(made).__name__}; expected a "
            "keras.Model."
        )
    model = built(made, dataset.input_shape)
    reconstructs = task == "reconstruction"
    check_ends(model, dataset, dataset.input_shape if reconstructs else (dataset.num_outputs,))
    return standardized(model, dataset.input_scale, _output_scale(job, dataset, task))


def make_objective(job: Job, dataset: Dataset) -> Objective:
    """Makes the loss, on the scale of the targets if they have one, and the metrics.

    Metrics of classes are functions of logits; those of values see predictions.
    """
    config, task = job.config, task_of(job, dataset.task)
    node, weights = config["loss"], class_weights(job, dataset)
    loss = part(node if weights is None else {**node, CLASS_WEIGHTS: weights}, "loss")
    scale = _output_scale(job, dataset, task)
    link = model_outputs(config["loss"], task).link
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


def make_saved_evaluate(job: Job, dataset: Dataset, model: keras.Model, split: Split) -> Evaluate:
    """Returns the function that evaluates a saved model on a split, as training evaluates.

    Args:
        job: The one that trained the model.
        dataset: With the scales of that training.
        model: The saved model, without its link.
        split: What to evaluate on.
    """
    learner = _learner_class(job, task_of(job, dataset.task))
    return learner.evaluate_saved(model, make_objective(job, dataset), split)


def make_predict(
    model: keras.Model,
) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.floating[Any]]]:
    """Returns the function that predicts with a saved model, batch by batch."""
    run = tf.function(
        lambda inputs: outputs_of(model, inputs, training=False), reduce_retracing=True
    )
    return lambda inputs: np.asarray(run(tf.constant(inputs)))


@dataclass(frozen=True)
class _Activation:
    """What models get as `act`: makes a layer a call, and knows which initial weights suit it."""

    make: Callable[[], Any]
    declared: str | Mapping[str, Any] | None

    def __call__(self) -> Any:
        return call(self.make, "act")

    @property
    def initializer(self) -> Any:
        """A name, or a new object each time: one gives layers of equal shapes equal weights."""
        if not isinstance(self.declared, Mapping):
            return self.declared
        where = f"act.{INITIALIZER_KEY}"
        return call(part(self.declared, where), where)


def _learner_class(job: Job, task: str) -> type[Learner]:
    declared = job.config["model"].get(STEP_KEY)
    if declared is not None:
        return cast("type[Learner]", part({"_target_": declared}, f"model.{STEP_KEY}").func)
    return Reconstruction if task == "reconstruction" else Supervised


def make_schedule(job: Job, total_steps: int) -> Any:
    """Makes the learning rate of a job of so many steps: a number, or a schedule of Keras.

    Raises:
        UserError: The schedule refuses its arguments.
    """
    node = job.config["schedule"]
    horizon = node.get(HORIZON_KEY) or total_steps
    schedule = call(
        part(node, "schedule"),
        "schedule",
        learning_rate=job.config["optimizer"]["learning_rate"],
        total_steps=horizon,
    )
    if horizon >= total_steps or not callable(schedule) or hasattr(schedule, "consider"):
        return schedule
    return Held(schedule, horizon - 1)


def _optimizers(job: Job, schedule: Any) -> MakeOptimizer:
    scales_loss = job.config["loop"]["precision"] == "mixed_float16"

    def make(variables: Sequence[Any]) -> keras.optimizers.Optimizer:
        if not variables:
            raise UserError(
                "model: it has no trainable variables, so that training would change nothing; "
                "expected at least one layer with weights and trainable=True. A finished run is "
                "evaluated without training by python -m expt.evaluate."
            )
        made = part(job.config["optimizer"], "optimizer")
        optimizer = call(made, "optimizer", learning_rate=schedule)
        if job.config["optimizer"].get(DECAY_KEY) is False:
            optimizer.exclude_from_weight_decay(var_list=undecayed(variables))
        if scales_loss:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(variables)
        return optimizer

    return make


def _output_scale(job: Job, dataset: Dataset, task: str) -> Scale | None:
    """The scale of the targets; a loss that is for a range of values sees them as they are."""
    if TARGETS_KEY in job.config["loss"]:
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
