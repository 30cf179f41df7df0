from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from expt.assembly import DataLoader, Sinks, make_params, make_parts, make_plan
from expt.config.compose import Job, compose_jobs
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.backend import start_tensorflow
from expt.train.cadence import Cadence


def compose_one(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


LINEAR = ("data=linear", "loss=mse", "model=linear")


@pytest.fixture(scope="module")
def load() -> DataLoader:
    return DataLoader()


@pytest.fixture(scope="module")
def digits(load: DataLoader) -> Dataset:
    return load(compose_one())


@pytest.fixture(scope="module", autouse=True)
def started() -> None:
    start_tensorflow(seed=0)


@pytest.mark.parametrize(
    ("overrides", "total_steps"),
    [
        ((), 30 * 19),
        (("loop.epochs=2",), 2 * 19),
        (("loop.steps=7",), 7),
        (("loop.steps=7", "loop.epochs=2"), 7),
        (("loop.steps=1000", "loop.epochs=2"), 1000),
    ],
)
def test_steps_win_over_epochs(
    digits: Dataset, overrides: tuple[str, ...], total_steps: int
) -> None:
    plan = make_plan(compose_one(*overrides), digits)
    assert (plan.total_steps, plan.steps_per_epoch) == (total_steps, 19)


def test_a_plan_has_the_configs_seed_cadences_and_sizes(digits: Dataset) -> None:
    plan = make_plan(compose_one("seed=7", "loop.eval_every=20", "loop.image_every=null"), digits)
    assert (plan.seed, plan.num_examples, plan.batch_size) == (7, 1257, 64)
    assert (plan.eval_every, plan.image_every) == (Cadence(20), Cadence(None))


@pytest.mark.parametrize(
    ("overrides", "metrics", "parameters"),
    [
        ((), ["accuracy"], 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        (("model.units=[5]", "loss=mse"), ["accuracy"], 64 * 5 + 5 + 5 * 10 + 10),
        (LINEAR, ["mae", "rmse"], 2),
        ((*LINEAR, "metric=[accuracy]"), [], 2),
    ],
)
def test_parts_fit_the_data(
    load: DataLoader, overrides: tuple[str, ...], metrics: list[str], parameters: int
) -> None:
    job = compose_one(*overrides)
    dataset = load(job)
    parts = make_parts(job, dataset, total_steps=10)
    assert list(parts.metrics) == metrics
    assert parts.model.count_params() == parameters
    assert parts.optimizer.built
    outputs = parts.model(dataset.train.inputs[:3])
    assert outputs.shape == (3, dataset.num_outputs)
    assert parts.loss(tf.constant(dataset.train.targets[:3]), outputs).shape == (3,)


def test_the_schedule_sets_the_optimizers_learning_rate(digits: Dataset) -> None:
    job = compose_one("schedule=cosine", "optimizer=sgd", "optimizer.learning_rate=0.5")
    optimizer = make_parts(job, digits, total_steps=2).optimizer
    rates = []
    for step in range(3):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.5, 0.25, 0.0])


def test_the_activation_is_made_for_each_layer(digits: Dataset) -> None:
    parts = make_parts(compose_one("act=leaky_relu", "model=cnn"), digits, 10)
    made = [layer for layer in parts.model.layers if type(layer).__name__ == "LeakyReLU"]
    assert len(made) == 3


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("optimizer=momentum", "optimizer.momentum=3"), "optimizer: .*momentum"),
        (("+optimizer.beta_3=1",), "optimizer: .*beta_3"),
        (("+model.unit=[3]",), r"model\.unit: mlp .*'units'"),
        (("+schedule.fraction=1",), r"schedule\.fraction: "),
        (("act=leaky_relu", "act.negative_slope=-1"), "act: .*negative_slope"),
        (("act=tanh", "act.activation=tahn"), "act: .*tahn"),
        (("model=cnn", "model.filters=[-1]"), "model: .*filters"),
        (("model=cnn", "model.filters=8"), "model: "),
        (("model=cnn", "model.filters=[8,8,8,8]"), r"model\.filters=.*8x8"),
        (("+metric.mine={_target_: expt.parts.metrics.mae, x: 1}",), r"metric\.mine\.x: mae"),
    ],
)
def test_a_part_that_refuses_its_arguments_is_named(
    digits: Dataset, overrides: tuple[str, ...], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        make_parts(compose_one(*overrides), digits, 10)


class TestDataLoader:
    def test_jobs_with_the_same_data_share_it(self) -> None:
        load = DataLoader()
        first = load(compose_one(*LINEAR))
        assert load(compose_one(*LINEAR, "seed=3", "optimizer=sgd")) is first
        assert load(compose_one(*LINEAR, "data.noise=0.5")) is not first
        assert load(compose_one(*LINEAR)) is first

    def test_another_split_is_other_data(self) -> None:
        load = DataLoader()
        splits = [load(compose_one(*LINEAR, f"data.split_seed={seed}")) for seed in (0, 1)]
        assert splits[0].fingerprint != splits[1].fingerprint
        assert not np.array_equal(splits[0].train.inputs, splits[1].train.inputs)

    @pytest.mark.parametrize(
        ("overrides", "told"),
        [
            (("loop.epochs=0",), r"loop\.epochs=0"),
            (("loss=crossentropy", "data=linear"), "loss=crossentropy is not for regression"),
            (("data=mnist", "data.path=/nowhere"), "/nowhere"),
            (("data.batch_size=100000",), r"data\.batch_size=100000"),
            (("+data.split_sede=1",), r"data\.split_sede: Digits.*'split_seed'"),
            (("~data.batch_size",), "data: .*batch_size"),
            (("data.split_seed=abc",), "split_seed.*abc"),
            (("data.split_seed=-1",), "split_seed.*-1"),
            ((*LINEAR, "data.num_examples=abc"), "num_examples.*abc"),
            ((*LINEAR, "data.weights=3"), "weights.*3"),
        ],
    )
    def test_what_is_wrong_is_told(self, overrides: tuple[str, ...], told: str) -> None:
        with pytest.raises(UserError, match=told):
            DataLoader()(compose_one(*overrides))


class TestSinks:
    @pytest.fixture
    def sinks(self) -> Iterator[Sinks]:
        sinks = Sinks()
        yield sinks
        sinks.stop()

    def test_they_are_made_once(self, sinks: Sinks) -> None:
        first = sinks(compose_one("recorder=[tensorboard]"))
        again = sinks(compose_one("recorder=[tensorboard]", "seed=3"))
        assert len(first) == 2
        assert all(one is other for one, other in zip(first, again, strict=True))

    def test_images_are_always_kept(self, sinks: Sinks) -> None:
        assert len(sinks(compose_one("recorder=[]"))) == 1

    def test_a_refused_argument_is_named(self, sinks: Sinks) -> None:
        job = compose_one("recorder=[tensorboard]", "+recorder.tensorboard.folder=x")
        with pytest.raises(UserError, match=r"recorder\.tensorboard\.folder"):
            sinks(job)


def test_params_are_the_choices_and_every_value() -> None:
    params: dict[str, Any] = make_params(compose_one("act=tanh", "model.units=[3,4]"))
    assert params["act"] == "tanh"
    assert params["act.activation"] == "tanh"
    assert params["model.units"] == [3, 4]
    assert params["seed"] == 0
    assert not any("_tasks_" in key for key in params)
