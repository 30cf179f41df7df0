import numpy as np
import pytest
import tensorflow as tf

from expt.parts import metrics
from expt.train.step import Function

RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.normal(size=(7, 3))
OUTPUTS = RANDOM.normal(size=(7, 3))


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 1, 2, 2], 1.0), ([1, 0, 0, 1], 0.0), ([0, 1, 0, 0], 0.5), ([2, 1, 0, 1], 0.25)],
)
def test_accuracy(labels: list[int], expected: float, dtype: tf.DType) -> None:
    logits = tf.constant([[5.0, 1.0, -9.0], [-3.0, -1.0, -2.0], [0.0, 0.1, 0.2], [0.0, 0.0, 50.0]])
    value = metrics.accuracy(tf.constant(labels, dtype), logits)
    assert value.shape == ()
    assert float(value) == expected


def test_accuracy_of_many_examples() -> None:
    labels, logits = RANDOM.integers(10, size=1000), RANDOM.normal(size=(1000, 10))
    value = metrics.accuracy(tf.constant(labels, tf.int32), tf.constant(logits, tf.float32))
    assert float(value) == pytest.approx((logits.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.mae, np.abs(TARGETS - OUTPUTS).mean()),
        (metrics.rmse, np.sqrt(((TARGETS - OUTPUTS) ** 2).mean())),
    ],
)
def test_errors(metric: Function, expected: float) -> None:
    value = metric(tf.constant(TARGETS, tf.float32), tf.constant(OUTPUTS, tf.float32))
    assert value.shape == ()
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_rmse_is_of_the_whole_split_not_a_mean_over_examples() -> None:
    # The mean of the examples' own roots would be 1.5.
    assert float(metrics.rmse(tf.zeros((2, 1)), tf.constant([[3.0], [0.0]]))) == pytest.approx(
        np.sqrt(4.5)
    )
