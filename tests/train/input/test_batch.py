import numpy as np
import pytest
import tensorflow as tf

from expt.train.input.batch import mean_loss, mixed, weighted_mean

VALUES = tf.constant([1.0, 2.0, 4.0, 8.0])


def test_weighted_mean_without_weights_is_the_mean() -> None:
    assert float(weighted_mean(VALUES, None)) == 3.75


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 1, 1, 1], 3.75),
        ([5, 5, 5, 5], 3.75),
        ([0, 0, 1, 0], 4.0),
        ([1, 0, 3, 0], 13 / 4),
        ([0.5, 0.25, 0, 0.25], 0.5 + 0.5 + 2),
        ([0, 0, 0, 0], 0.0),
        ([1e-30, 0, 0, 1e-30], 4.5),
    ],
)
def test_weighted_mean_uses_the_weights(weights: list[float], expected: float) -> None:
    assert float(weighted_mean(VALUES, tf.constant(weights, tf.float32))) == pytest.approx(expected)


@pytest.mark.parametrize("masked", [np.nan, np.inf, -np.inf])
def test_masked_examples_may_have_any_value(masked: float) -> None:
    values = tf.constant([1.0, masked, 3.0])
    assert float(weighted_mean(values, tf.constant([1.0, 0.0, 1.0]))) == 2.0
    assert float(weighted_mean(values, tf.zeros(3))) == 0.0


def test_nan_of_an_unmasked_example_is_not_hidden() -> None:
    assert np.isnan(weighted_mean(tf.constant([1.0, np.nan]), tf.constant([1.0, 1e-3])))


def test_gradient_of_the_weighted_mean_is_the_weights() -> None:
    weights = tf.constant([1.0, 0.0, 2.0, 1.0])
    with tf.GradientTape() as tape:
        tape.watch(VALUES)
        mean = weighted_mean(VALUES, weights)
    np.testing.assert_allclose(tape.gradient(mean, VALUES), [0.25, 0, 0.5, 0.25])


def test_class_weights_and_example_weights_are_multiplied() -> None:
    of_classes, of_examples = np.array([1.0, 2, 1, 3]), np.array([0.5, 1, 0, 2])
    pair = VALUES, tf.constant(of_classes, tf.float32)
    found = mean_loss(pair, tf.constant(of_examples, tf.float32))
    expected = np.average(VALUES, weights=of_classes * of_examples)
    assert float(found) == pytest.approx(expected)
    alone = np.average(VALUES, weights=of_classes)
    assert float(mean_loss(pair, None)) == pytest.approx(alone)
    assert float(mean_loss(VALUES, None)) == 3.75


def test_mixed_losses_are_weighted_by_share_and_weights() -> None:
    share = tf.constant([0.0, 0.25, 0.5, 1.0])
    others, weights = tf.constant([3.0, 5, 7, 9]), tf.constant([1.0, 2, 3, 4])
    theirs = tf.constant([5.0, 1, 1, 2])
    found = mean_loss(mixed((VALUES, weights), (others, theirs), share), None)
    both = np.concatenate([(1 - share) * weights, share * theirs])
    assert float(found) == pytest.approx(
        np.average(np.concatenate([VALUES, others]), weights=both), rel=1e-6
    )
    plain = mean_loss(mixed(VALUES, others, share), None)
    assert float(plain) == pytest.approx(np.mean((1 - share) * VALUES + share * others))
