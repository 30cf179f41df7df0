from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.losses import binary_crossentropy, mse
from expt.parts.models.adversarial import gan
from expt.train.input.batch import Batch
from expt.train.input.pipeline import first_batch
from expt.train.learners.adversarial import Adversarial, random_directions, sliced_distance
from expt.train.objective import Objective
from train.train_helpers import (
    Training,
    assert_same_bits,
    assert_same_rows,
    built,
    make_dataset,
    streamed,
)

RANDOM = np.random.default_rng(0)
BINARY = Objective(binary_crossentropy, {}, tf.nn.sigmoid)
LATENT, WIDTH = 3, 4
NAMES = [
    "loss",
    "discriminator_loss",
    "grad_norm",
    "discriminator_grad_norm",
    "learning_rate",
]


@dataclass
class LinearPair:
    generator: Any
    discriminator: Any


def linear_pair(latent: int = LATENT, width: int = WIDTH, logits: int = 1) -> LinearPair:
    layers = keras.layers
    return LinearPair(
        keras.Sequential([keras.Input((latent,)), layers.Dense(width, bias_initializer="ones")]),
        keras.Sequential([keras.Input((width,)), layers.Dense(logits, bias_initializer="ones")]),
    )


def made(pair: Any, objective: Objective = BINARY, rates: tuple[float, ...] = (0.1, 0.5)) -> Any:
    """Returns an adversarial learner that trains with plain gradient descent."""
    remaining = list(rates)
    return Adversarial(pair, objective, built(lambda: keras.optimizers.SGD(remaining.pop(0))))


def next_noise(learner: Any, size: int) -> Any:
    """Returns the noise that the next step of the learner will draw."""
    # A copy, since drawing from the learner's own generator would advance it.
    copy = keras.random.SeedGenerator(0)
    copy.state.assign(learner.random_states[0])
    return keras.random.normal((size, LATENT), seed=copy).numpy()


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("is_compiled", [False, True])
def test_both_networks_are_updated_from_the_weights_before_the_step(
    is_weighted: bool, is_compiled: bool
) -> None:
    learner = made(linear_pair())
    step = tf.function(learner.step) if is_compiled else learner.step
    real = RANDOM.standard_normal((6, WIDTH)).astype(np.float32)
    weights = np.array([1, 0, 2, 1, 0.5, 0], np.float32) if is_weighted else None
    share = np.full((6, 1), 1 / 6) if weights is None else weights[:, None] / weights.sum()
    for _ in range(3):
        noise = next_noise(learner, 6)
        (w, b), (v, c) = (network.get_weights() for network in learner.networks)
        fake = noise @ w + b
        of_real, of_fake = sigmoid(real @ v + c), sigmoid(fake @ v + c)
        scalars = step(Batch(tf.constant(real), tf.zeros(6), weights))

        assert list(scalars) == NAMES
        discriminator_losses = -(np.log(of_real) + np.log(1 - of_fake)) / 2
        assert float(scalars["loss"]) == pytest.approx(np.sum(share * -np.log(of_fake)), rel=1e-4)
        assert float(scalars["discriminator_loss"]) == pytest.approx(
            np.sum(share * discriminator_losses), rel=1e-4
        )
        # The gradient of the generator's loss with respect to the generated examples.
        to_fake = share * (of_fake - 1) @ v.T
        dw, db = noise.T @ to_fake, to_fake.sum(axis=0)
        to_real, to_fake = share * (of_real - 1) / 2, share * of_fake / 2
        dv, dc = real.T @ to_real + fake.T @ to_fake, (to_real + to_fake).sum(axis=0)
        norms = [np.sqrt(np.sum(a**2) + np.sum(b**2)) for a, b in ((dw, db), (dv, dc))]
        assert float(scalars["grad_norm"]) == pytest.approx(norms[0], rel=1e-4)
        assert float(scalars["discriminator_grad_norm"]) == pytest.approx(norms[1], rel=1e-4)
        assert float(scalars["learning_rate"]) == pytest.approx(0.1)
        expected = [w - 0.1 * dw, b - 0.1 * db, v - 0.5 * dv, c - 0.5 * dc]
        found = [value for network in learner.networks for value in network.get_weights()]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_loss_scaling_of_a_pair_changes_neither_scalars_nor_update() -> None:
    plain, scaled = linear_pair(), linear_pair()
    for one, other in (("generator",) * 2, ("discriminator",) * 2):
        getattr(scaled, one).set_weights(getattr(plain, other).get_weights())

    def scaling() -> Any:
        return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=64.0)

    learners = made(plain, rates=(0.1, 0.1)), Adversarial(scaled, BINARY, built(scaling))
    learners[1].random_states[0].assign(learners[0].random_states[0])
    real = tf.constant(RANDOM.standard_normal((6, WIDTH)), tf.float32)
    for _ in range(3):
        expected, found = (
            {k: float(v) for k, v in learner.step(Batch(real, tf.zeros(6))).items()}
            for learner in learners
        )
        assert found == pytest.approx(expected, rel=1e-5)


def small_gan(dataset: Dataset) -> Any:
    units = {"generator_units": [8], "discriminator_units": [8]}
    return gan(dataset.input_shape, 1, keras.layers.ReLU, latent_size=4, dropout=0.3, **units)


@pytest.mark.parametrize("is_stream", [False, True])
def test_adversarial_training_does_not_depend_on_blocks(is_stream: bool) -> None:
    dataset = make_dataset((3, 2, 1))
    dataset = streamed(dataset) if is_stream else dataset
    trainings = [
        Training(dataset, make_model=small_gan, learner=Adversarial, objective=BINARY)
        for _ in range(2)
    ]
    rows = trainings[0].run_blocks([9])
    assert list(rows) == NAMES
    assert_same_rows(trainings[1].run_blocks([1, 5, 3]), rows)
    assert_same_bits(*trainings)
    # The noise differs at every step.
    assert len(set(rows["loss"].tolist())) == 9


def check(learner: Any, dataset: Dataset) -> None:
    learner.check(first_batch(dataset), dataset)


def test_pair_that_fits_passes_the_check_unchanged() -> None:
    dataset = make_dataset((6, 5, 3))
    learner = made(small_gan(dataset))
    seeds = [network.variables for network in learner.networks]
    before = [variable.numpy() for variables in seeds for variable in variables]
    noise = learner.random_states[0].numpy()
    check(learner, dataset)
    after = [variable.numpy() for variables in seeds for variable in variables]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(learner.random_states[0].numpy(), noise)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (linear_pair(width=5), r"generator returned the shape \(8, 5\).*data=toy needs \(8, 4\)"),
        (linear_pair(logits=2), r"discriminator returned the shape \(8, 2\).*expected.*\(8, 1\)"),
    ],
)
def test_networks_with_wrong_shapes_are_an_error(pair: LinearPair, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(made(pair), make_dataset((4,)))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda t, o: mse(t, o)[0], r"loss: it returned the shape \(\)"),
        (lambda t, o: mse(t, o) * np.inf, "loss: it is not finite"),
        (lambda t, o: mse(t, tf.stop_gradient(o)), "no gradient with respect to any weight"),
    ],
)
def test_loss_that_does_not_fit_is_an_error(loss: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(made(linear_pair(), Objective(loss, {}, tf.identity)), make_dataset((4,)))


@pytest.mark.parametrize("mode", ["graph", "eager", "xla"])
def test_adversarial_evaluation_equals_numpy_and_is_repeatable(mode: str) -> None:
    dataset = make_dataset((4,))
    learner = made(linear_pair())
    evaluate = learner.make_evaluate(dataset.validation, mode)
    values, generated = evaluate()
    (w, b), (v, c) = (network.get_weights() for network in learner.networks)
    of_real = sigmoid(dataset.validation.first(50) @ v + c)
    of_fake = sigmoid(generated @ v + c)
    assert list(values) == ["loss", "discriminator_loss", "distance"] == list(learner.reported)
    assert values == pytest.approx(
        {
            "loss": -np.log(of_fake).mean(),
            "discriminator_loss": -np.mean(np.log(of_real) + np.log(1 - of_fake)) / 2,
            "distance": distance_between(dataset.validation.first(50), generated),
        },
        rel=1e-4,
    )
    assert generated.shape == (50, 4)
    # Both are affine transformations of the same noise.
    learner.model.set_weights([2 * w, b])
    doubled = evaluate()[1]
    np.testing.assert_allclose(doubled - b, 2 * (generated - b), rtol=1e-4, atol=1e-5)
    learner.model.set_weights([w, b])
    np.testing.assert_array_equal(evaluate()[1], generated)


def test_saved_generator_has_the_distance_of_training() -> None:
    dataset, learner = make_dataset((4,)), made(linear_pair())
    values, generated = learner.make_evaluate(dataset.validation, "graph")()
    again, generated_again = Adversarial.evaluate_saved(learner.model, BINARY, dataset.validation)()
    assert again == pytest.approx({"distance": values["distance"]}, rel=1e-5)
    np.testing.assert_allclose(generated_again, generated, rtol=1e-5, atol=1e-6)


def test_at_most_2000_examples_are_compared() -> None:
    split = Split(np.zeros((2100, 4), np.float32), np.zeros(2100, np.int32))
    _, generated = made(linear_pair()).make_evaluate(split, "graph")()
    assert generated.shape == (2000, 4)


def distance_between(one: Any, other: Any) -> float:
    return float(sliced_distance(one, other, random_directions(int(np.prod(one.shape[1:])))))


def test_distance_of_equal_samples_is_0_in_any_order() -> None:
    sample = RANDOM.standard_normal((40, 3, 2)).astype(np.float32)
    other = RANDOM.standard_normal((40, 3, 2)).astype(np.float32)
    shuffled = RANDOM.permutation(sample)
    assert distance_between(sample, shuffled) == 0.0
    assert distance_between(sample, other) > 0.1
    assert distance_between(shuffled, other) == distance_between(sample, other)
    assert distance_between(other, sample) == distance_between(sample, other)


@pytest.mark.parametrize("width", [1, 5])
def test_distance_of_a_shift_is_that_of_its_projections(width: int) -> None:
    """A shift c is u·c along a unit vector u; the mean square over u is |c|² / width."""
    sample = RANDOM.standard_normal((30, width)).astype(np.float32)
    shift = RANDOM.standard_normal(width).astype(np.float32)
    found = distance_between(sample, sample + shift)
    assert found == pytest.approx(
        np.linalg.norm(shift) / np.sqrt(width), rel=1e-4 if width == 1 else 0.2
    )
    twice = distance_between(sample, sample + 2 * shift)
    assert twice == pytest.approx(2 * found, rel=1e-4)


def test_distance_in_one_dimension_is_the_wasserstein_distance() -> None:
    one, other = RANDOM.standard_normal((2, 25, 1)).astype(np.float32)
    expected = np.sqrt(np.mean((np.sort(one[:, 0]) - np.sort(other[:, 0])) ** 2))
    assert distance_between(one, other) == pytest.approx(expected, rel=1e-5)


def test_pair_learns_a_shifted_normal_distribution() -> None:
    random = np.random.default_rng(3)
    cloud = (random.standard_normal((256, 2)) * 0.3 + [2, -1]).astype(np.float32)
    split = Split(cloud, np.zeros(256, np.int32))
    dataset = make_dataset((2,), train=split, validation=split, test=split)
    dataset = replace(dataset, batch_size=64)
    training = Training(
        dataset,
        make_model=lambda _: LinearPair(
            keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]),
            keras.Sequential(
                [keras.Input((2,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)]
            ),
        ),
        learner=Adversarial,
        objective=BINARY,
        optimizer=lambda: keras.optimizers.Adam(0.02),
    )
    evaluate = training.learner.make_evaluate(split, "graph")
    before = evaluate()[0]["distance"]
    training.run_blocks([16] * 15)
    assert evaluate()[0]["distance"] < before / 2
