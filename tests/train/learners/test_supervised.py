from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.losses import binary_crossentropy, crossentropy, mse
from expt.parts.metrics import mae
from expt.train.evaluation import make_evaluate
from expt.train.input.batch import Batch
from expt.train.input.pipeline import first_batch
from expt.train.learners.supervised import Reconstruction, Supervised
from expt.train.objective import Objective
from train.train_helpers import CLASSIFY, built, make_dataset, small_mlp, streamed

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(size=(8, 3)).astype(np.float32)


def pixels_mae(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    return mae(targets, tf.nn.sigmoid(outputs))


PIXELS = Objective(binary_crossentropy, {"mae": pixels_mae}, tf.nn.sigmoid)
VALUES = Objective(mse, {"mae": mae}, tf.identity)


def linear(num_outputs: int = 3) -> Any:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(num_outputs)])


def made(learner: Any, model: Any, objective: Objective) -> Any:
    return learner(model, objective, built(lambda: keras.optimizers.SGD(0.1)))


def regression(num_values: int = 3) -> Dataset:
    targets = RANDOM.uniform(size=(8, num_values)).astype(np.float32)
    split = Split(X, targets)
    return Dataset("toy", "regression", split, split, split, batch_size=4)


def test_learner_has_one_network_and_a_built_optimizer() -> None:
    model = linear()
    learner = made(Supervised, model, VALUES)
    assert learner.model is model
    assert list(learner.networks) == [model]
    assert len(learner.optimizers) == 1
    assert learner.optimizers[0].built
    assert (learner.watched, learner.reported) == ("val/loss", ["loss", "mae"])


def test_loss_and_metrics_of_a_step_have_the_same_outputs() -> None:
    model, targets = linear(), RANDOM.uniform(size=(8, 3)).astype(np.float32)
    w, b = model.get_weights()
    p = 1 / (1 + np.exp(-(X @ w + b)))
    scalars = made(Supervised, model, PIXELS).step(Batch(tf.constant(X), tf.constant(targets)))
    loss = -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))
    assert float(scalars["loss"]) == pytest.approx(loss, rel=1e-5)
    assert float(scalars["mae"]) == pytest.approx(np.abs(p - targets).mean(), rel=1e-5)


def test_reconstruction_learns_its_inputs() -> None:
    model = linear()
    w, b = model.get_weights()
    error = X @ w + b - X
    # Labels and mixed targets are ignored.
    batch = Batch(tf.constant(X), tf.range(8), None, tf.range(8), tf.ones(8))
    scalars = made(Reconstruction, model, VALUES).step(batch)
    assert float(scalars["loss"]) == pytest.approx(np.mean(error**2), rel=1e-5)
    assert float(scalars["mae"]) == pytest.approx(np.mean(np.abs(error)), rel=1e-5)
    dw, db = 2 * X.T @ error / error.size, 2 * error.sum(axis=0) / error.size
    np.testing.assert_allclose(model.get_weights()[0], w - 0.1 * dw, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[1], b - 0.1 * db, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_stream", [False, True])
def test_reconstruction_evaluation_equals_numpy(is_stream: bool) -> None:
    dataset = streamed(make_dataset((3,))) if is_stream else make_dataset((3,))
    learner = made(Reconstruction, linear(), PIXELS)
    values, predictions = learner.make_evaluate(dataset.validation, "graph")()
    inputs = dataset.validation.first(100)
    np.testing.assert_allclose(
        predictions, tf.nn.sigmoid(learner.model(inputs)).numpy(), rtol=1e-4, atol=1e-6
    )
    assert values["mae"] == pytest.approx(np.abs(predictions - inputs).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("learner", "objective"), [(Supervised, CLASSIFY), (Reconstruction, VALUES)]
)
def test_saved_model_is_evaluated_as_in_training(learner: Any, objective: Objective) -> None:
    dataset = make_dataset((3,))
    trained = made(learner, linear(), objective)
    values, outputs = trained.make_evaluate(dataset.validation, "graph")()
    again, outputs_again = learner.evaluate_saved(trained.model, objective, dataset.validation)()
    assert again == values
    np.testing.assert_array_equal(outputs_again, outputs)


@pytest.mark.parametrize(
    ("learner", "objective", "dataset"),
    [
        (Supervised, CLASSIFY, make_dataset((3,))),
        (Supervised, VALUES, regression()),
        (Reconstruction, VALUES, make_dataset((3,))),
        (Reconstruction, PIXELS, regression(1)),
    ],
)
def test_parts_that_fit_pass_the_check(
    learner: Any, objective: Objective, dataset: Dataset
) -> None:
    made(learner, linear(), objective).check(first_batch(dataset), dataset)


@pytest.mark.parametrize(
    ("learner", "objective", "dataset", "message"),
    [
        (Supervised, CLASSIFY, make_dataset((3,)), r"\(8, 2\); data=toy needs \(8, 3\)"),
        (Supervised, VALUES, regression(), r"\(4, 2\); data=toy needs \(4, 3\)"),
        (Reconstruction, VALUES, make_dataset((3,)), r"\(8, 2\); data=toy needs \(8, 3\)"),
    ],
)
def test_outputs_of_wrong_shape_are_an_error(
    learner: Any, objective: Objective, dataset: Dataset, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        made(learner, linear(2), objective).check(first_batch(dataset), dataset)


def test_evaluation_and_step_have_the_same_loss() -> None:
    """With a penalty, a learning rate of 0, and the whole split as one batch."""
    model = small_mlp(make_dataset((3,)), l2=0.1)
    optimizer = built(lambda: keras.optimizers.SGD(0.0))
    learner = Supervised(model, Objective(crossentropy, {}, tf.identity), optimizer)
    split = make_dataset((3,)).train
    step = learner.step(Batch(tf.constant(split.inputs), tf.constant(split.targets)))
    values, _ = make_evaluate(model, CLASSIFY, split, "graph")()
    assert values["loss"] == pytest.approx(float(step["loss"]), rel=1e-5)
