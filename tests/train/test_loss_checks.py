"""Tests that mistakes in losses and metrics are found, and correct ones pass."""

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from expt.config.instantiate import bind_part
from expt.config.location import config_directory, options
from expt.errors import UserError
from expt.parts import losses, metrics
from expt.train.loss_checks import check_loss, check_metric

RANDOM = np.random.default_rng(0)
LABELS = tf.constant([0, 2, 1, 2, 0, 1])
LOGITS = tf.constant(RANDOM.normal(size=(6, 3)), tf.float32)
VALUES = tf.constant(RANDOM.normal(size=(6, 1)), tf.float32)
OUTPUTS = tf.constant(RANDOM.normal(size=(6, 1)), tf.float32)


def declared(option: str) -> dict[str, Any]:
    text = (config_directory() / f"loss/{option}.yaml").read_text(encoding="utf-8")
    node = yaml.safe_load(text)
    assert isinstance(node, dict)
    return node


def made(option: str) -> Any:
    return bind_part(declared(option), "loss")


TRIED = {
    "usual": np.asarray(LOGITS),
    "zeros, as of a last layer that begins so": np.zeros((6, 3)),
    "right by far": 1e4 * np.eye(3)[np.asarray(LABELS)],
    "wrong by far": -1e4 * np.eye(3)[np.asarray(LABELS)],
    "all alike": np.full((6, 3), 7.0),
}


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize(
    "option", [o for o in options("loss") if "classification" in declared(o)["_tasks_"]]
)
@pytest.mark.parametrize("labels", [LABELS, tf.zeros(6, tf.int32), LABELS[:1]])
def test_classification_losses_pass(option: str, name: str, labels: tf.Tensor) -> None:
    """They pass for any outputs, and for batches of one class or one example."""
    outputs = tf.constant(TRIED[name][: len(labels)], tf.float32)
    assert check_loss(made(option), labels, outputs) == []


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize(
    "option", [o for o in options("loss") if "regression" in declared(o)["_tasks_"]]
)
@pytest.mark.parametrize("kind", ["usual", "equal", "one example"])
def test_regression_losses_pass(option: str, name: str, kind: str) -> None:
    targets = RANDOM.dirichlet(np.ones(3), size=6)
    if kind == "equal":
        targets[:] = targets[0]
    count = 1 if kind == "one example" else 6
    outputs = tf.constant(TRIED[name][:count], tf.float32)
    assert check_loss(made(option), tf.constant(targets[:count], tf.float32), outputs) == []


UNUSUAL: dict[str, Callable[[tf.Tensor, tf.Tensor], Any]] = {
    "small": lambda t, o: 1e-9 * losses.mse(t, o),
    "large": lambda t, o: 1e9 * losses.mse(t, o),
    "with a constant": lambda t, o: 1e4 + losses.mse(t, o),
    "with a wide dead zone": lambda t, o: tf.nn.relu(losses.mae(t, o) - 2.0),
    "clipped": lambda t, o: tf.minimum(losses.mse(t, o), 0.5),
    "of logarithms": lambda t, o: losses.mse(tf.math.log(tf.abs(t)), tf.math.log(tf.abs(o))),
    "undefined below 0": lambda t, o: losses.mse(tf.sqrt(tf.abs(t)), tf.sqrt(o)),
    "with weights": lambda t, o: (losses.mse(t, o), tf.range(1.0, len(t) + 1.0)),
    "without an axis": lambda t, o: tf.square(t[:, 0] - o[:, 0]),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_losses_pass(name: str) -> None:
    assert check_loss(UNUSUAL[name], VALUES, tf.abs(OUTPUTS)) == []


def test_margin_losses_with_satisfied_margins_pass() -> None:
    loss = functools.partial(losses.hinge, margin=0.1)
    assert check_loss(loss, LABELS, 100 * tf.one_hot(LABELS, 3)) == []


NO_GRADIENT: dict[str, Callable[[tf.Tensor, tf.Tensor], Any]] = {
    "the angle to one number": lambda t, o: (
        1
        - tf.reduce_sum(
            tf.math.l2_normalize(t, axis=-1) * tf.math.l2_normalize(o, axis=-1), axis=-1
        )
    ),
    "a softmax of one number": lambda t, o: losses.mse(t, tf.nn.softmax(o)),
    "a constant": lambda t, o: losses.mse(t, 0 * o),
    "clipped to a constant": lambda t, o: losses.mse(t, tf.clip_by_value(o, 1e6, 2e6)),
}


@pytest.mark.parametrize("name", NO_GRADIENT)
def test_gradient_of_0_everywhere_is_an_error(name: str) -> None:
    with pytest.raises(UserError, match="gradient with respect to the outputs is 0 for all"):
        check_loss(NO_GRADIENT[name], VALUES, OUTPUTS)


WITHOUT_TARGETS: dict[str, Callable[[tf.Tensor, tf.Tensor], Any]] = {
    "of outputs alone": lambda _, o: tf.reduce_mean(tf.square(o), axis=-1),
    "outputs twice": lambda _, o: losses.mse(o, o + tf.sin(o)),
    "a sum of both": lambda t, o: (
        tf.reduce_mean(tf.square(o), axis=-1) + tf.reduce_sum(tf.cast(t, tf.float32) ** 2) / 100
    ),
}


@pytest.mark.parametrize("name", WITHOUT_TARGETS)
@pytest.mark.parametrize(("targets", "outputs"), [(VALUES, OUTPUTS), (LABELS, LOGITS)])
def test_loss_that_ignores_its_targets_is_an_error(name: str, targets: Any, outputs: Any) -> None:
    with pytest.raises(UserError, match="does not depend on the targets"):
        check_loss(WITHOUT_TARGETS[name], targets, outputs)


BROADCAST: dict[str, tuple[Callable[[tf.Tensor, tf.Tensor], Any], Any, Any]] = {
    "(n,) against (n, 1)": (
        lambda t, o: tf.reduce_mean(tf.square(t[:, 0] - o), axis=-1),
        VALUES,
        OUTPUTS,
    ),
    "the other way round": (
        lambda t, o: tf.reduce_mean(tf.abs(t - o[:, 0]), axis=-1),
        VALUES,
        OUTPUTS,
    ),
    "the sum": (lambda t, o: tf.reduce_sum(tf.abs(t[:, 0] - o), axis=-1), VALUES, OUTPUTS),
    "class numbers": (
        lambda t, o: tf.reduce_mean(tf.square(tf.cast(t, tf.float32) - o[:, :1]), axis=1),
        LABELS,
        LOGITS,
    ),
}


@pytest.mark.parametrize("name", BROADCAST)
def test_broadcast_shapes_are_an_error(name: str) -> None:
    loss, targets, outputs = BROADCAST[name]
    assert tuple(loss(targets, outputs).shape) == (6,)  # as one value for each example
    shapes = re.escape(f"shape {tuple(targets.shape)} and the outputs {tuple(outputs.shape)}")
    with pytest.raises(UserError, match=rf"^loss: it compares .* all examples.*{shapes}"):
        check_loss(loss, targets, outputs)


def test_loss_that_depends_on_other_examples_is_noted() -> None:
    def standardized(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        spread = tf.math.reduce_std(outputs, axis=0) + 0.1
        return losses.mse(targets, (outputs - tf.reduce_mean(outputs, axis=0)) / spread)

    (note,) = check_loss(standardized, VALUES, OUTPUTS)
    assert "depends on the other examples of its batch" in note


@pytest.mark.parametrize("shape", [(6, 1), (6, 3), (6, 2, 2, 1)])
@pytest.mark.parametrize("metric", [metrics.mae, metrics.rmse, metrics.r2])
def test_regression_metrics_pass(metric: Any, shape: tuple[int, ...]) -> None:
    targets = tf.constant(RANDOM.normal(size=shape), tf.float32)
    for outputs in (targets, tf.zeros(shape), tf.ones(shape)):
        check_metric("one", metric, targets, outputs)


@pytest.mark.parametrize(
    "metric",
    [
        lambda t, o: tf.reduce_mean(tf.abs(t[:, 0] - o)),
        lambda t, o: tf.sqrt(tf.reduce_mean(tf.square(t - o[:, 0]))),
    ],
)
def test_metric_that_broadcasts_is_an_error(metric: Any) -> None:
    with pytest.raises(UserError, match=r"^metric\.mine: it compares each output with the targets"):
        check_metric("mine", metric, VALUES, OUTPUTS)


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.f1, metrics.auc])
def test_classification_metrics_are_not_checked(metric: Any) -> None:
    check_metric("one", metric, LABELS, LOGITS)
