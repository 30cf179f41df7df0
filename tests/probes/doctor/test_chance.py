"""Tests of the losses of constant predictions against the losses themselves."""

import numpy as np
import pytest
import tensorflow as tf

from expt.parts import losses
from expt.probes.doctor.chance import classification_loss, regression_loss, smooth

LABELS = np.array([0, 0, 0, 1, 1, 2])
SHARES = np.bincount(LABELS) / len(LABELS)


def mean_loss(function: object, probabilities: np.ndarray, **options: float) -> float:
    logits = tf.constant(np.log(np.tile(probabilities, (len(LABELS), 1))), tf.float32)
    values = function(tf.constant(LABELS), logits, **options)  # type: ignore[operator]
    return float(tf.reduce_mean(values))


@pytest.mark.parametrize("name", ["crossentropy", "mse"])
@pytest.mark.parametrize("predicted", [np.full(3, 1 / 3), SHARES, np.array([0.2, 0.7, 0.1])])
def test_loss_of_constant_probabilities_equals_that_of_the_model(
    name: str, predicted: np.ndarray
) -> None:
    node = {"_target_": f"expt.parts.losses.{name}"}
    expected = mean_loss(getattr(losses, name), predicted)
    assert classification_loss(node, predicted, SHARES) == pytest.approx(expected, rel=1e-5)


def test_best_prediction_with_label_smoothing_has_the_lowest_loss() -> None:
    node = {"_target_": "expt.parts.losses.crossentropy", "label_smoothing": 0.3}
    best = smooth(node, SHARES)
    expected = mean_loss(losses.crossentropy, best, label_smoothing=0.3)
    assert classification_loss(node, best, SHARES) == pytest.approx(expected, rel=1e-5)
    others = [best + 0.01 * np.roll([1, -1, 0], place) for place in range(3)]
    found = [classification_loss(node, one, SHARES) for one in others]
    assert all(one is not None and one > expected for one in found)


def test_class_without_examples_may_have_an_infinite_loss() -> None:
    node = {"_target_": "expt.parts.losses.crossentropy"}
    shares = np.array([0.5, 0.5, 0.0])
    assert classification_loss(node, shares, shares) == pytest.approx(np.log(2))
    assert classification_loss(node, shares, np.array([0.5, 0.0, 0.5])) == np.inf


def test_loss_of_a_constant_value_is_known_for_mse_and_mae() -> None:
    fitted, actual = np.array([[1.0], [2.0], [6.0]]), np.array([[3.0], [5.0]])
    assert regression_loss({"_target_": "expt.parts.losses.mse"}, fitted, fitted) == 14 / 3
    assert regression_loss({"_target_": "expt.parts.losses.mse"}, fitted, actual) == 2.0
    assert regression_loss({"_target_": "expt.parts.losses.mae"}, fitted, actual) == 2.0


def test_other_losses_are_unknown() -> None:
    assert classification_loss({"_target_": "my.losses.mse"}, SHARES, SHARES) is None
    ones = np.ones((3, 1))
    assert regression_loss({"_target_": "expt.parts.losses.huber"}, ones, ones) is None
