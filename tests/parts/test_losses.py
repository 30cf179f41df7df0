import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts import losses
from expt.train.step import Function

LABELS = np.array([0, 2, 1, 2], np.int32)
LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 4.0, 1.0], [1.0, 1.0, -5.0]])


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    exponentials = np.exp(logits)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def test_crossentropy() -> None:
    value = losses.crossentropy(tf.constant(LABELS), tf.constant(LOGITS, tf.float32))
    expected = -np.log(softmax(LOGITS)[np.arange(4), LABELS])
    assert value.shape == (4,)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_crossentropy_of_equal_logits_is_the_log_of_the_number_of_classes() -> None:
    value = losses.crossentropy(tf.constant([3]), tf.fill((1, 10), 7.0))
    assert float(value[0]) == pytest.approx(np.log(10))


def test_mse_of_values() -> None:
    targets = np.array([[1.0, 2.0], [0.0, -1.0], [5.0, 5.0]])
    outputs = np.array([[1.5, 0.0], [0.0, 1.0], [5.0, 5.0]])
    value = losses.mse(tf.constant(targets, tf.float32), tf.constant(outputs, tf.float32))
    np.testing.assert_allclose(value, [(0.25 + 4) / 2, 4 / 2, 0])


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64, tf.uint8])
def test_mse_of_classes_compares_probabilities_with_one_hot_targets(dtype: tf.DType) -> None:
    value = losses.mse(tf.constant(LABELS, dtype), tf.constant(LOGITS, tf.float32))
    expected = ((np.eye(3)[LABELS] - softmax(LOGITS)) ** 2).mean(axis=1)
    assert value.shape == (4,)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("loss", [losses.crossentropy, losses.mse])
def test_values_and_gradients_are_finite_at_large_logits(loss: Function, size: float) -> None:
    logits = tf.constant([[size, -size], [-size, size], [-size, -size], [size, size]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(tf.constant([0, 0, 1, 1]), logits)
    assert np.isfinite(value).all()
    assert np.isfinite(tape.gradient(value, logits)).all()
    # Right; wrong by 2 size (one-hot: by 1 in both places); undecided between two; the same.
    expected = [0, 2 * size, np.log(2), np.log(2)] if loss is losses.crossentropy else None
    np.testing.assert_allclose(value, expected or [0, 1, 0.25, 0.25], rtol=1e-5, atol=1e-7)
