"""Tests that a step with accumulated gradients equals the step on the whole batch."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.parts.losses import binary_crossentropy, crossentropy
from expt.parts.metrics import accuracy, f1
from expt.parts.models.dense import mlp
from expt.train.compilation import compile_function
from expt.train.input.batch import Batch
from expt.train.learners.adversarial import Adversarial
from expt.train.learners.supervised import Reconstruction, Supervised
from expt.train.objective import Objective
from train.learners.test_adversarial import linear_pair
from train.train_helpers import built

RANDOM = np.random.default_rng(0)
STEPS, PARTS, SIZE = 4, 3, 6
METRICS = {"accuracy": accuracy, "f1": f1}


def batches(is_weighted: bool) -> list[Batch]:
    """Returns one batch per step; the weights of one part, and of one whole batch, are 0."""
    found = []
    for number in range(STEPS):
        weights = RANDOM.uniform(size=PARTS * SIZE).astype(np.float32)
        weights[SIZE : 2 * SIZE] = 0
        if number == 2:
            weights[:] = 0
        found.append(
            Batch(
                tf.constant(RANDOM.standard_normal((PARTS * SIZE, 4)), tf.float32),
                tf.constant(RANDOM.integers(0, 3, PARTS * SIZE), tf.int32),
                tf.constant(weights) if is_weighted else None,
            )
        )
    return found


def classifier() -> keras.Model:
    # Both learners of a test must start with the same weights.
    keras.utils.set_random_seed(1)
    return mlp([4], 3, lambda: keras.layers.Activation("tanh"), units=(5,), l2=0.01)


def trained(
    make_learner: Callable[[int], Any], num_parts: int, given: Sequence[Batch], mode: str = "graph"
) -> tuple[list[dict[str, float]], list[Any]]:
    """Returns the scalars of each step, and all variables after the last step."""
    learner = make_learner(num_parts)
    step = compile_function(learner.step, mode)
    rows = [{name: float(value) for name, value in step(batch).items()} for batch in given]
    variables = [v for each in (*learner.networks, *learner.optimizers) for v in each.variables]
    return rows, [variable.numpy() for variable in variables]


def assert_close(one: Any, other: Any) -> None:
    for row, expected in zip(one[0], other[0], strict=True):
        assert row == pytest.approx(expected, rel=1e-4, abs=1e-6)
    for array, expected in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-6)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "averages": lambda: keras.optimizers.SGD(0.5, momentum=0.9, use_ema=True, ema_momentum=0.7),
    "clipped": lambda: keras.optimizers.Adam(0.05, global_clipnorm=0.1, weight_decay=0.1),
    "schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(1.0, STEPS)),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5)),
}


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_accumulated_step_equals_step_on_whole_batch(name: str, is_weighted: bool) -> None:
    def make(num_parts: int) -> Supervised:
        objective = Objective(crossentropy, METRICS, tf.identity, num_parts=num_parts)
        return Supervised(classifier(), objective, built(OPTIMIZERS[name]))

    given = batches(is_weighted)
    assert_close(trained(make, PARTS, given), trained(make, 1, given))


@pytest.mark.parametrize("is_weighted", [False, True])
def test_parts_are_weighted_by_their_class_weights(is_weighted: bool) -> None:
    weighing = functools.partial(crossentropy, class_weights=[0.1, 1.0, 5.0])

    def make(num_parts: int) -> Supervised:
        objective = Objective(weighing, METRICS, tf.identity, num_parts=num_parts)
        return Supervised(classifier(), objective, built(OPTIMIZERS["averages"]))

    given = batches(is_weighted)
    assert_close(trained(make, PARTS, given), trained(make, 1, given))


@pytest.mark.parametrize("mode", ["xla", "eager"])
def test_accumulated_step_is_the_same_in_each_compile_mode(mode: str) -> None:
    def make(num_parts: int) -> Supervised:
        objective = Objective(crossentropy, METRICS, tf.identity, num_parts=num_parts)
        return Supervised(classifier(), objective, built(OPTIMIZERS["averages"]))

    given = batches(is_weighted=True)
    assert_close(trained(make, PARTS, given, mode), trained(make, 1, given))


def test_accumulated_reconstruction_step_equals_step_on_whole_batch() -> None:
    def make(num_parts: int) -> Reconstruction:
        keras.utils.set_random_seed(1)
        model = mlp([4], 4, lambda: keras.layers.Activation("tanh"), units=(2,))
        objective = Objective(
            lambda t, o: tf.reduce_mean((t - o) ** 2, axis=-1), {}, tf.identity, num_parts=num_parts
        )
        return Reconstruction(model, objective, built(OPTIMIZERS["averages"]))

    given = batches(is_weighted=False)
    assert_close(trained(make, PARTS, given), trained(make, 1, given))


def test_overflow_in_one_part_skips_the_whole_step_only() -> None:
    """As PyTorch's GradScaler does, the whole step is skipped and the scale is halved."""

    def make(num_parts: int) -> Supervised:
        objective = Objective(crossentropy, METRICS, tf.identity, num_parts=num_parts)
        return Supervised(classifier(), objective, built(OPTIMIZERS["scaled"]))

    given = batches(is_weighted=False)
    inputs = given[1].inputs.numpy()
    inputs[SIZE] = np.inf
    given[1] = given[1]._replace(inputs=tf.constant(inputs))
    learner = make(PARTS)
    before = [given[0], given[2], given[3]]
    for batch in given:
        learner.step(batch)
    assert int(learner.optimizers[0].inner_optimizer.iterations) == len(before)
    assert float(learner.optimizers[0].dynamic_scale) == 2.0**14
    expected = make(1)
    for batch in before:
        expected.step(batch)
    for one, other in zip(learner.model.get_weights(), expected.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_accumulated_adversarial_step_equals_step_on_whole_batch(
    monkeypatch: pytest.MonkeyPatch, is_weighted: bool
) -> None:
    """Each example gets the same noise in both, although noise is drawn part by part."""
    noise = tf.constant(RANDOM.standard_normal((PARTS * SIZE, 3)), tf.float32)
    position = tf.Variable(0)

    def drawn(shape: Sequence[int], seed: Any) -> tf.Tensor:
        del seed
        first = position.read_value()
        position.assign((first + shape[0]) % (PARTS * SIZE))
        return tf.ensure_shape(noise[first : first + shape[0]], shape)

    monkeypatch.setattr(keras.random, "normal", drawn)
    weights = [network.get_weights() for network in vars(linear_pair()).values()]

    def make(num_parts: int) -> Adversarial:
        pair = linear_pair()
        for network, values in zip(vars(pair).values(), weights, strict=True):
            network.set_weights(values)
        objective = Objective(binary_crossentropy, {}, tf.nn.sigmoid, num_parts=num_parts)
        return Adversarial(pair, objective, built(OPTIMIZERS["averages"]))

    given = batches(is_weighted)
    assert_close(trained(make, PARTS, given, "eager"), trained(make, 1, given, "eager"))
