"""Tests of the losses of constant predictions against the losses themselves."""

import numpy as np
import pytest
import tensorflow as tf

from expt.parts import losses
from expt.probes.doctor.chance import classification_losses, regression_loss

LABELS = np.array([0, 0, 0, 1, 1, 2])
SHARES = np.bincount(LABELS) / len(LABELS)


def mean_loss(function: object, probabilities: np.ndarray, **options: float) -> float:
    logits = tf.constant(np.log(np.tile(probabilities, (len(LABELS), 1))), tf.float32)
    values = function(tf.constant(LABELS), logits, **options)  # type: ignore[operator]
    return float(tf.reduce_mean(values))


@pytest.mark.parametrize("name", ["crossentropy", "mse"])
def test_losses_of_labels(name: str) -> None:
    node = {"_target_": f"expt.parts.losses.{name}"}
    found = classification_losses(node, SHARES)
    assert found is not None
    function = getattr(losses, name)
    assert found[0] == pytest.approx(mean_loss(function, np.full(3, 1 / 3)), rel=1e-5)
    assert found[1] == pytest.approx(mean_loss(function, SHARES), rel=1e-5)


def test_label_smoothing() -> None:
    node = {"_target_": "expt.parts.losses.crossentropy", "label_smoothing": 0.3}
    found = classification_losses(node, SHARES)
    assert found is not None
    best = 0.7 * SHARES + 0.1
    expected = mean_loss(losses.crossentropy, best, label_smoothing=0.3)
    assert found[1] == pytest.approx(expected, rel=1e-5)


def test_class_without_examples() -> None:
    node = {"_target_": "expt.parts.losses.crossentropy"}
    found = classification_losses(node, np.array([0.5, 0.5, 0.0]))
    assert found == pytest.approx((np.log(3), np.log(2)))


def test_losses_of_values() -> None:
    targets = np.array([[1.0], [2.0], [6.0]])
    assert regression_loss({"_target_": "expt.parts.losses.mse"}, targets) == pytest.approx(14 / 3)
    assert regression_loss({"_target_": "expt.parts.losses.mae"}, targets) == pytest.approx(5 / 3)


def test_other_losses_are_unknown() -> None:
    assert classification_losses({"_target_": "my.losses.mse"}, SHARES) is None
    assert regression_loss({"_target_": "expt.parts.losses.huber"}, np.ones((3, 1))) is None
