import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from expt.config.allowed import ALLOW_VARIABLE
from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.scale import Scale
from expt.parts.models import dense
from expt.train.backend import start_tensorflow
from expt.train.data_loading import DataLoader
from expt.train.evaluation import make_evaluate
from expt.train.inference import make_saved_evaluate
from expt.train.input.batch import Batch
from expt.train.input.pipeline import first_batch
from expt.train.learners.adversarial import Adversarial
from expt.train.learners.supervised import Reconstruction, Supervised
from expt.train.model import _Activation
from expt.train.objective import Objective, make_objective
from expt.train.program import Program, make_program

LINEAR = ("data=linear", "loss=mse", "model=linear")
GAN = ("model=gan", "loss=binary_crossentropy")
RANDOM = np.random.default_rng(0)


def compose_one(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


@pytest.fixture(scope="module")
def load() -> DataLoader:
    return DataLoader()


@pytest.fixture(scope="module")
def digits(load: DataLoader) -> Dataset:
    return load(compose_one())


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    start_tensorflow(seed=0)


def table(**changes: Any) -> Dataset:
    """Returns regression data whose inputs and targets have large, different means."""
    inputs = (RANDOM.standard_normal((40, 3)) * [1, 20, 300] + [5, -7, 1e4]).astype(np.float32)
    targets = (RANDOM.standard_normal((40, 2)) * [3, 50] + [100, 2000]).astype(np.float32)
    split = Split(inputs, targets)
    dataset = Dataset("toy", "regression", split, split, split, batch_size=8)
    return replace(dataset, **changes)


INPUT_SCALE = Scale.fit(table().train.inputs)  # type: ignore[arg-type]
TARGET_SCALE = Scale.fit(table().train.targets)


def program_of(*overrides: str, dataset: Dataset, total_steps: int = 10) -> Program:
    return make_program(compose_one(*overrides, f"loop.steps={total_steps}"), dataset)


@pytest.mark.parametrize(
    ("overrides", "metrics", "parameters"),
    [
        ((), ["accuracy"], 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        (("model.units=[5]", "loss=mse"), ["accuracy"], 64 * 5 + 5 + 5 * 10 + 10),
        (LINEAR, ["mae", "rmse"], 2),
        ((*LINEAR, "metric=[]"), [], 2),
    ],
)
def test_program_has_parts_that_fit_the_data(
    load: DataLoader, overrides: tuple[str, ...], metrics: list[str], parameters: int
) -> None:
    job = compose_one(*overrides)
    dataset = load(job)
    learner = make_program(job, dataset).learner
    assert list(learner.reported) == ["loss", *metrics]
    assert sum(np.size(v) for v in learner.model.trainable_variables) == parameters
    assert learner.optimizers[0].built
    batch = first_batch(dataset)
    outputs = learner.model(batch.inputs)
    assert outputs.shape == (dataset.batch_size, dataset.num_outputs)
    objective = make_objective(job, dataset)
    assert list(objective.metrics) == metrics
    assert objective.loss(batch.targets, outputs).shape == (dataset.batch_size,)
    learner.check(batch, dataset)


@pytest.mark.parametrize(
    ("overrides", "kind", "networks"),
    [
        ((), Supervised, 1),
        (("model=autoencoder", "loss=mse"), Reconstruction, 1),
        (GAN, Adversarial, 2),
    ],
)
def test_learner_is_the_one_that_the_model_declares(
    digits: Dataset, overrides: tuple[str, ...], kind: type, networks: int
) -> None:
    learner = program_of(*overrides, dataset=digits).learner
    assert type(learner) is kind
    assert len(learner.networks) == len(learner.optimizers) == networks
    assert len({id(optimizer) for optimizer in learner.optimizers}) == networks
    learner.check(first_batch(digits), digits)


def test_schedule_sets_the_learning_rate_of_the_optimizer(digits: Dataset) -> None:
    overrides = ("schedule=cosine", "optimizer=sgd", "optimizer.learning_rate=0.5")
    (optimizer,) = program_of(*overrides, dataset=digits, total_steps=2).learner.optimizers
    # Half a cosine over two steps: its ends and its middle.
    assert rates(optimizer, 3) == pytest.approx([0.5, 0.25, 0.0])


def rates(optimizer: Any, count: int) -> list[float]:
    found = []
    for step in range(count):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_schedule_lasts_the_whole_run_with_accumulation(digits: Dataset) -> None:
    overrides = ["schedule=cosine", "optimizer=sgd", "optimizer.learning_rate=0.5"]
    plain = program_of(*overrides, dataset=digits, total_steps=12).learner.optimizers[0]
    expected = rates(plain, 12)
    overrides.append("optimizer.gradient_accumulation_steps=3")
    learner = program_of(*overrides, dataset=digits, total_steps=12).learner
    found = [float(learner.step(first_batch(digits, 3))["learning_rate"]) for _ in range(12)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("precision", "scales"), [("float32", False), ("mixed_float16", True)])
def test_loss_is_scaled_for_float16(digits: Dataset, precision: str, scales: bool) -> None:
    (optimizer,) = program_of(f"loop.precision={precision}", dataset=digits).learner.optimizers
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) is scales


def test_each_layer_has_a_separate_activation(digits: Dataset) -> None:
    model = program_of("act=leaky_relu", "model=cnn", dataset=digits).learner.model
    made = [layer for layer in model.layers if type(layer).__name__ == "LeakyReLU"]
    assert len(made) == 3


@pytest.mark.parametrize(
    ("act", "initializer"),
    [
        ("relu", "HeNormal"),
        ("selu", "LecunNormal"),
        ("tanh", "GlorotUniform"),
        ("silu", "VarianceScaling"),
    ],
)
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_activation_selects_the_initial_weights(
    digits: Dataset, act: str, initializer: str, model: str
) -> None:
    network = program_of(f"act={act}", f"model={model}", dataset=digits).learner.model
    # Without the last layer, which has no activation.
    hidden = [layer for layer in network.layers if hasattr(layer, "kernel")][:-1]
    assert {type(layer.kernel_initializer).__name__ for layer in hidden} == {initializer}


def test_each_layer_has_a_separate_initializer() -> None:
    """A user's model passes it to layers of equal shapes, as in the README."""
    act = _Activation(keras.layers.ReLU, {"_target_": "keras.initializers.HeNormal"})
    seen = [act.initializer, act.initializer]
    one, other = (initializer((50, 50)).numpy() for initializer in seen)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    ("overrides", "watch"),
    [
        ((), ("val/loss", False)),
        (("loop.watch=val/accuracy",), ("val/accuracy", True)),
        (("loop.watch=val/accuracy", "loop.direction=min"), ("val/accuracy", False)),
        (("loop.direction=max",), ("val/loss", True)),
        (("loop.watch=val/loss",), ("val/loss", False)),
        (GAN, ("val/distance", False)),
        ((*GAN, "loop.watch=val/loss", "loop.direction=max"), ("val/loss", True)),
    ],
)
def test_monitored_metric_has_its_direction(
    digits: Dataset, overrides: tuple[str, ...], watch: tuple[str, bool]
) -> None:
    parts = program_of(*overrides, dataset=digits)
    assert (parts.monitor.metric, parts.monitor.larger_is_better) == watch


def test_monitored_metric_unknown_to_the_learner_is_an_error(digits: Dataset) -> None:
    """The metrics of a learner are known only after it has been built."""
    with pytest.raises(UserError, match=r"watch=val/accuracy.*Valid: val/discrim.*val/distance"):
        program_of(*GAN, "loop.watch=val/accuracy", dataset=digits)


@pytest.mark.parametrize(("schedule", "driven"), [("constant", 0), ("cosine", 0), ("plateau", 1)])
def test_program_lists_schedules_driven_by_validation(
    digits: Dataset, schedule: str, driven: int
) -> None:
    parts = (
        program_of(f"schedule={schedule}", "schedule.patience=1", dataset=digits)
        if driven
        else (program_of(f"schedule={schedule}", dataset=digits))
    )
    assert len(parts.schedules) == driven
    for plateau in parts.schedules:
        (optimizer,) = parts.learner.optimizers
        before = float(optimizer.learning_rate)
        # The second value is no improvement, which exhausts a patience of 1.
        plateau.consider(1.0, larger_is_better=False)
        plateau.consider(1.0, larger_is_better=False)
        assert float(optimizer.learning_rate) == pytest.approx(before / 2)


def test_networks_of_a_pair_share_one_schedule(digits: Dataset) -> None:
    parts = program_of(*GAN, "schedule=plateau", "schedule.patience=1", dataset=digits)
    for _ in range(2):
        parts.schedules[0].consider(1.0, larger_is_better=False)
    found = [float(optimizer.learning_rate) for optimizer in parts.learner.optimizers]
    assert found == pytest.approx([0.0005, 0.0005])


class TestStandardized:
    """The inputs and outputs of a model are in the units of the data."""

    DATASET = table(input_scale=INPUT_SCALE, target_scale=TARGET_SCALE)

    @pytest.mark.parametrize(
        ("input_scale", "target_scale"),
        [(INPUT_SCALE, TARGET_SCALE), (INPUT_SCALE, None), (None, TARGET_SCALE), (None, None)],
    )
    def test_saved_model_takes_raw_inputs(
        self, tmp_path: Path, input_scale: Scale | None, target_scale: Scale | None
    ) -> None:
        dataset = table(input_scale=input_scale, target_scale=target_scale)
        model = program_of("model=linear", "loss=mse", dataset=dataset).learner.model
        w, b = (variable.numpy() for variable in model.trainable_variables)
        expected = dataset.train.first(40)
        if input_scale is not None:
            expected = (expected - input_scale.mean) / input_scale.deviation
        expected = expected @ w + b
        if target_scale is not None:
            expected = expected * target_scale.deviation + target_scale.mean
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        found = loaded(dataset.train.first(40)).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_loss_uses_standardized_values_and_metrics_use_raw_values(self) -> None:
        job = compose_one("model=linear", "loss=mse", "data=diabetes")
        learner = make_program(job, self.DATASET).learner
        inputs, targets = self.DATASET.train.first(40), self.DATASET.train.targets
        error = learner.model(inputs).numpy() - targets
        expected = {
            "loss": np.mean((error / TARGET_SCALE.deviation) ** 2),
            "mae": np.abs(error).mean(),
            "rmse": np.sqrt(np.mean(error**2)),
        }
        values, predictions = learner.make_evaluate(self.DATASET.validation, "graph")()
        assert values == pytest.approx(expected, rel=1e-4)
        np.testing.assert_allclose(predictions, error + targets, rtol=1e-4)
        # All three splits are equal, so that the values must be, too.
        saved = make_saved_evaluate(job, self.DATASET, learner.model, self.DATASET.test)
        assert saved()[0] == pytest.approx(expected, rel=1e-4)
        scalars = learner.step(Batch(tf.constant(inputs), tf.constant(targets)))
        assert {name: float(scalars[name]) for name in expected} == pytest.approx(
            expected, rel=1e-4
        )

    def test_loss_with_a_target_range_uses_raw_targets(self) -> None:
        """Such a loss depends on the order of magnitude of its targets."""
        job = compose_one("model=linear", "loss=poisson", "data=diabetes")
        learner = make_program(job, self.DATASET).learner
        assert [layer.name for layer in learner.model.layers if "standard" in layer.name] == [
            "standardised"
        ]
        inputs, targets = self.DATASET.train.first(40), self.DATASET.train.targets
        # The link of the Poisson loss is the softplus.
        rates = np.log1p(np.exp(learner.model(inputs).numpy().astype(np.float64)))
        values, predictions = learner.make_evaluate(self.DATASET.validation, "graph")()
        np.testing.assert_allclose(predictions, rates, rtol=1e-3, atol=1e-5)
        expected = {
            "loss": np.mean(rates - targets * np.log(rates)),
            "mae": np.abs(rates - targets).mean(),
        }
        assert {name: values[name] for name in expected} == pytest.approx(expected, rel=1e-3)

    def test_reconstruction_loss_uses_the_scale_of_the_inputs(self) -> None:
        overrides = ("model=autoencoder", "model.units=[]", "model.latent=2", "loss=mse")
        learner = program_of(*overrides, dataset=self.DATASET).learner
        values, outputs = learner.make_evaluate(self.DATASET.validation, "graph")()
        inputs = self.DATASET.validation.first(40)
        np.testing.assert_allclose(outputs, learner.model(inputs).numpy(), rtol=1e-4)
        error = outputs - inputs
        assert values["loss"] == pytest.approx(
            np.mean((error / INPUT_SCALE.deviation) ** 2), rel=1e-3
        )
        assert values["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-3)

    def test_labels_have_no_scale(self, digits: Dataset) -> None:
        scale = Scale.fit(digits.train.inputs)  # type: ignore[arg-type]
        job, dataset = compose_one("loss=mse"), replace(digits, input_scale=scale)
        model = make_program(job, dataset).learner.model
        assert [layer.name for layer in model.layers if "standard" in layer.name] == [
            "standardised"
        ]
        outputs = tf.constant(RANDOM.standard_normal((4, 10)), tf.float32)
        targets = tf.constant([1, 2, 3, 4])
        p = tf.nn.softmax(outputs).numpy()
        expected = np.mean((p - np.eye(10)[[1, 2, 3, 4]]) ** 2, axis=1)
        found = make_objective(job, dataset).loss(targets, outputs)
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
    def test_large_raw_values_do_not_overflow_in_half_precision(self, policy: str) -> None:
        # The largest float16 is 65,504.
        inputs = (RANDOM.standard_normal((40, 3)) * 1e5 + 1e6).astype(np.float32)
        targets = (RANDOM.standard_normal((40, 2)) * 1e4 + 1e7).astype(np.float32)
        split = Split(inputs, targets)
        dataset = table(
            train=split,
            validation=split,
            test=split,
            input_scale=Scale.fit(inputs),
            target_scale=Scale.fit(targets),
        )
        start_tensorflow(seed=0, precision=policy)
        try:
            overrides = (f"loop.precision={policy}", "loss=mse", "model.units=[8]")
            learner = program_of(*overrides, dataset=dataset).learner
            learner.check(first_batch(dataset), dataset)
            before = learner.make_evaluate(split, "graph")()[0]["loss"]
            for _ in range(30):
                scalars = learner.step(Batch(tf.constant(inputs), tf.constant(targets)))
                assert np.isfinite(float(scalars["loss"]))
            after, outputs = learner.make_evaluate(split, "graph")()
        finally:
            start_tensorflow(seed=0)
        assert outputs.dtype == np.float64
        assert after["loss"] < before < 20
        assert abs(outputs.mean() / 1e7 - 1) < 0.01


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("optimizer=momentum", "optimizer.momentum=3"), "optimizer: .*momentum"),
        (("+optimizer.beta_3=1",), "optimizer: .*beta_3"),
        (("+model.unit=[3]",), r"model\.unit: mlp .*'units'"),
        (("+schedule.fraction=1",), r"schedule\.fraction: "),
        (("act=leaky_relu", "act.negative_slope=-1"), "act: .*negative_slope"),
        (("act=tanh", "act.activation=tahn"), "act: .*tahn"),
        (("model=cnn", "model.filters=[-1]"), r"model\.filters=\[-1\]"),
        (("model=cnn", "model.filters=8"), r"model\.filters=8"),
        (("model=cnn", "model.filters=[8,8,8,8]"), r"model\.filters=.*8x8"),
        (("+metric.mine={_target_: expt.parts.metrics.mae, x: 1}",), r"metric\.mine\.x: mae"),
    ],
)
def test_part_that_does_not_accept_its_arguments_is_named(
    digits: Dataset, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        program_of(*overrides, dataset=digits)


@pytest.mark.parametrize(
    ("declared", "predict"),
    [
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("softmax", lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)),
        ("null", lambda x: x),
    ],
)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_predictions_use_the_link_that_the_loss_declares(
    declared: str, predict: Any, task: str
) -> None:
    dataset = table() if task == "regression" else classes()
    job = compose_one("loss=mse", f"loss._predicts_={declared}")
    x = np.array([[-1, 2, 0.5]], np.float32)
    objective = make_objective(job, dataset)
    np.testing.assert_allclose(objective.predict(x), predict(x), rtol=1e-5)


def test_regression_metrics_use_predictions_and_classification_metrics_logits() -> None:
    x, targets = tf.constant([[-1, 2, 0.5]]), tf.constant([[0.5, 0.1, 0.9]])
    given = ("loss=binary_crossentropy", "+metric.mean={_target_: expt.parts.metrics.mae}")
    objective = make_objective(compose_one(*given), table())
    error = np.abs(1 / (1 + np.exp(-x.numpy())) - targets.numpy()).mean()
    assert float(objective.metrics["mean"](targets, x)) == pytest.approx(error, rel=1e-5)
    objective = make_objective(compose_one(*given), classes())
    error = np.abs(x.numpy() - targets.numpy()).mean()
    assert float(objective.metrics["mean"](targets, x)) == pytest.approx(error, rel=1e-5)


def test_generated_examples_are_not_changed_by_a_link() -> None:
    x = np.array([[-1, 2, 0.5]], np.float32)
    found = make_objective(compose_one(*GAN), classes()).predict(x)
    np.testing.assert_array_equal(found, x)


def classes() -> Dataset:
    split = Split(np.zeros((4, 2), np.float32), np.array([0, 1, 2, 0], np.int32))
    names = ("a", "b", "c")
    return Dataset("toy", "classification", split, split, split, batch_size=2, class_names=names)


MODELS = """
import keras

def from_layers(input_shape, num_outputs, act, *, width):
    layers = [keras.layers.Flatten(), keras.layers.Dense(width), act()]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_outputs)])

def no_model(input_shape, num_outputs, act):
    return [input_shape, num_outputs]

def unbuilt(input_shape, num_outputs, act):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(num_outputs)])

class Subclass(keras.Model):
    def __init__(self, num_outputs):
        super().__init__()
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(num_outputs)

    def call(self, inputs):
        return self.dense(self.flatten(inputs))

def subclassed(input_shape, num_outputs, act):
    return Subclass(num_outputs)

def ending(input_shape, end, inputs=1):
    given = [keras.Input(input_shape) for _ in range(inputs)]
    flat = keras.layers.Flatten()(sum(given))
    return keras.Model(given[0] if inputs == 1 else given, end(flat))

def squeezed(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: keras.ops.squeeze(keras.layers.Dense(1)(x), -1))

def averaged(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: keras.ops.mean(keras.layers.Dense(1)(x)))

def wide(input_shape, num_outputs, act):
    return ending(input_shape, keras.layers.Dense(num_outputs + 1))

def ranked(input_shape, num_outputs, act):
    repeat, dense = keras.layers.RepeatVector(2), keras.layers.Dense(num_outputs)
    return ending(input_shape, lambda x: repeat(dense(x)))

def two_outputs(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: [keras.layers.Dense(num_outputs)(x) for _ in range(2)])

def named(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: {"y": keras.layers.Dense(num_outputs)(x)})

def named_two(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: {n: keras.layers.Dense(num_outputs)(x) for n in "yz"})

def listed(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: [keras.layers.Dense(num_outputs)(x)])

def listed_input(input_shape, num_outputs, act):
    x = keras.Input(input_shape)
    return keras.Model([x], keras.layers.Dense(num_outputs)(x))

def named_input(input_shape, num_outputs, act):
    x = keras.Input(input_shape, name="x")
    return keras.Model({"x": x}, keras.layers.Dense(num_outputs)(x))

class Nothing(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
    def call(self, x):
        self.dense(x)

class TwoArguments(Nothing):
    def call(self, x, y):
        return self.dense(x + y)

class TakesADict(keras.Model):
    def call(self, x):
        return x["a"]

def nothing(input_shape, num_outputs, act):
    return Nothing()

def two_arguments(input_shape, num_outputs, act):
    return TwoArguments()

def takes_a_dict(input_shape, num_outputs, act):
    return TakesADict()

def of_images(input_shape, num_outputs, act):
    return ending((8, 8, 1), lambda x: keras.layers.Dense(2)(keras.layers.Flatten()(x)))

def labels(input_shape, num_outputs, act):
    return ending(input_shape, lambda x: keras.ops.cast(keras.layers.Dense(2)(x), "int32"))

def of_text(input_shape, num_outputs, act):
    inputs = keras.Input(input_shape, dtype="string")
    hashed = keras.layers.Hashing(5)(inputs)
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(hashed))

def sequence(*layers):
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(2)])

def vectorized(input_shape, num_outputs, act):
    vectors = keras.layers.TextVectorization(
        5, output_mode="int", output_sequence_length=2, vocabulary=["a"], name="vectors"
    )
    return sequence(vectors, keras.layers.Embedding(7, 2))

def looked_up(input_shape, num_outputs, act):
    words = keras.layers.StringLookup(vocabulary=["a"], name="words")
    return keras.Sequential([keras.Input(input_shape), sequence(words)])

def integers(input_shape, num_outputs, act):
    inputs = keras.Input(input_shape, dtype="int32")
    return keras.Model(inputs, keras.layers.Dense(num_outputs)(keras.ops.cast(inputs, "float32")))

def embedded(input_shape, num_outputs, act):
    return sequence(keras.layers.Embedding(7, 2))

def whole(input_shape, num_outputs, act):
    return sequence(keras.Input(input_shape), keras.layers.Embedding(7, 2))

def two_inputs(input_shape, num_outputs, act):
    return ending(input_shape, keras.layers.Dense(num_outputs), inputs=2)
"""


class TestCustom:
    @pytest.fixture(autouse=True)
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        (tmp_path / "users_models.py").write_text(MODELS)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv(ALLOW_VARIABLE, "users_models")
        yield
        sys.modules.pop("users_models", None)

    def overrides(self, name: str) -> tuple[str, ...]:
        return ("model=custom", f"model._target_=users_models.{name}")

    def test_users_model_is_built(self, digits: Dataset) -> None:
        overrides = (*self.overrides("from_layers"), "+model.width=3", "act=tanh")
        learner = program_of(*overrides, dataset=digits).learner
        assert learner.model.count_params() == 64 * 3 + 3 + 3 * 10 + 10
        learner.check(first_batch(digits), digits)

    def test_model_part_that_returns_no_model_is_an_error(self, digits: Dataset) -> None:
        with pytest.raises(UserError, match=r"users_models\.no_model returned list; expected a"):
            program_of(*self.overrides("no_model"), dataset=digits)

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("squeezed", r"have the shape \(batch,\); data=toy needs \(batch, 2\)"),
            ("averaged", r"have the shape \(\); data=toy needs \(batch, 2\)"),
            ("wide", r"have the shape \(batch, 3\); data=toy needs \(batch, 2\)"),
            ("ranked", r"have the shape \(batch, 2, 2\); data=toy needs \(batch, 2\)"),
            (
                "two_outputs",
                r"it has 2 outputs, of the shapes \(batch, 2\), \(batch, 2\); expected one tensor, "
                r"\(batch, 2\)\. A run trains one output",
            ),
            ("named_two", "it has 2 outputs in a dict, of the shapes"),
            ("named", "its output is a dict with one tensor; expected the tensor itself"),
            ("listed", "its output is a list with one tensor; expected the tensor itself"),
            ("nothing", "its call returns None; expected the outputs, as one tensor"),
            ("two_inputs", "it has 2 inputs, of the shapes .* Examples are passed to a model as"),
            ("listed_input", "its input is a list with one tensor; expected the tensor itself"),
            ("named_input", "its input is a dict with one tensor; expected the tensor itself"),
            (
                "two_arguments",
                r"it can't be called on one tensor of inputs, of the shape \(batch, 3\): "
                "missing a required argument: 'y'$",
            ),
            (
                "takes_a_dict",
                "it can't be called on one tensor .*: Only integers, slices [^\n]* got 'a'$",
            ),
            (
                "of_images",
                r"it takes inputs of the shape \(batch, 8, 8, 1\); those of data=toy have "
                r"\(batch, 3\)",
            ),
            ("labels", "its outputs are of the type int32, which has no gradient"),
            ("of_text", r"it takes text; the inputs of data=toy are numbers"),
            (
                "vectorized",
                r"it takes text \(its first layer is the TextVectorization vectors\); the inputs",
            ),
            ("looked_up", r"it takes text \(its first layer is the StringLookup words\)"),
            (
                "integers",
                "it takes int32, but the inputs of data=toy have fractions, such as .* be cut off",
            ),
            ("embedded", "it looks inputs up in an Embedding, but the inputs of data=toy"),
        ],
    )
    @pytest.mark.parametrize("scale", [None, TARGET_SCALE])
    def test_model_with_wrong_inputs_or_outputs_is_an_error(
        self, name: str, found: str, scale: Scale | None
    ) -> None:
        dataset = table(target_scale=scale)
        with pytest.raises(UserError, match=f"^model: .*{found}"):
            program_of(*self.overrides(name), "loss=mse", dataset=dataset)

    @pytest.mark.parametrize("name", ["whole", "embedded", "integers"])
    def test_model_of_integer_inputs_trains_on_whole_numbers(self, name: str) -> None:
        inputs = RANDOM.integers(0, 7, (40, 3)).astype(np.float32)
        split = Split(inputs, table().train.targets)
        dataset = Dataset("toy", "regression", split, split, split, batch_size=8)
        learner = program_of(*self.overrides(name), "loss=mse", dataset=dataset).learner
        learner.check(first_batch(dataset), dataset)
        standardized = replace(dataset, input_scale=Scale.fit(inputs))
        with pytest.raises(UserError, match=r"toy are standardized, .*data\.standardize=false"):
            program_of(*self.overrides(name), "loss=mse", dataset=standardized)

    @pytest.mark.parametrize("name", ["unbuilt", "subclassed"])
    @pytest.mark.parametrize("scale", [None, INPUT_SCALE])
    def test_unbuilt_model_trains_or_is_an_error(self, name: str, scale: Scale | None) -> None:
        """It must not run to the end with its initial weights."""
        dataset = table(input_scale=scale)
        try:
            learner = program_of(*self.overrides(name), "loss=mse", dataset=dataset).learner
            learner.check(first_batch(dataset), dataset)
        except UserError as error:
            assert str(error).startswith("model: ")  # noqa: PT017
            return
        before = learner.model.get_weights()
        learner.step(first_batch(dataset))
        for one, other in zip(learner.model.get_weights(), before, strict=True):
            assert not np.array_equal(one, other)


def test_program_uses_the_objective_of_the_config(digits: Dataset) -> None:
    """The evaluation uses the objective of the config."""
    job = compose_one("model.units=[]")
    learner, objective = make_program(job, digits).learner, make_objective(job, digits)
    assert isinstance(objective, Objective)
    direct = make_evaluate(learner.model, objective, digits.validation, "eager")()[0]
    assert learner.make_evaluate(digits.validation, "eager")()[0] == direct


def frozen(input_shape: Any, num_outputs: int, act: Any) -> Any:
    """A user's model without trainable weights."""
    del act
    inputs = keras.Input(input_shape)
    dense = keras.layers.Dense(num_outputs, trainable=False)
    return keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))


def test_model_without_trainable_variables_is_an_error(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "linear", frozen)
    monkeypatch.setattr(frozen, "__module__", dense.__name__)
    with pytest.raises(UserError, match=r"model: it has no trainable variables.*trainable=True"):
        program_of("model=linear", dataset=digits)


def test_positive_class_of_a_metric_is_named() -> None:
    split = Split(table().train.inputs, (np.arange(40) % 2).astype(np.int32))
    of_two = Dataset("toy", "classification", split, split, split, 8, ("ill", "well"))
    targets, logits = tf.constant([0, 0, 1, 1]), tf.constant([[1.0, 0], [0, 1], [0, 1], [0, 1]])
    binary = ("metric=recall", "metric.recall.average=binary")
    for given, expected in (("ill", 0.5), ("well", 1.0), ("null", 1.0)):
        job = compose_one(*binary, f"metric.recall.positive={given}")
        assert float(make_objective(job, of_two).metrics["recall"](targets, logits)) == expected
    job = compose_one(*binary, "metric.recall.positive=il")
    with pytest.raises(UserError, match=r"metric\.recall\.positive=il: .*Did you mean 'ill'"):
        make_objective(job, of_two)


def test_binary_average_with_more_classes_is_an_error() -> None:
    with pytest.raises(UserError, match=r"metric\.f1\.average=binary: data=digits has 10 classes"):
        DataLoader()(compose_one("metric=f1", "metric.f1.average=binary"))
    with pytest.raises(UserError, match=r"metric\.f1\.positive=x: data=breast_cancer has no class"):
        DataLoader()(
            compose_one(
                "data=breast_cancer",
                "metric=f1",
                "metric.f1.average=binary",
                "metric.f1.positive=x",
            )
        )


@pytest.mark.parametrize(
    ("loss", "scores"),
    [
        ("crossentropy", lambda z: z[:, 1] - z[:, 0]),
        ("binary_crossentropy", lambda z: z[:, 1]),
        ("hinge", lambda z: z[:, 1] - z[:, 0]),
    ],
)
def test_auc_ranks_by_the_probabilities_of_the_loss(loss: str, scores: Any) -> None:
    split = Split(table().train.inputs, (np.arange(40) % 2).astype(np.int32))
    of_two = Dataset("toy", "classification", split, split, split, 8, ("ill", "well"))
    logits = RANDOM.normal(scale=30, size=(40, 2)).astype(np.float32)
    metric = make_objective(compose_one(f"loss={loss}", "metric=auc"), of_two).metrics["auc"]
    expected = roc_auc_score(split.targets, scores(logits))
    assert float(metric(tf.constant(split.targets), logits)) == pytest.approx(expected)
    weights = np.linspace(0.1, 2, 40).astype(np.float32)
    expected = roc_auc_score(split.targets, scores(logits), sample_weight=weights)
    found = metric(tf.constant(split.targets), logits, weights=tf.constant(weights))
    assert float(found) == pytest.approx(expected)
