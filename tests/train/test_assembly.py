from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from expt.config.cadence import Cadence
from expt.config.compose import Job, compose_jobs
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.assembly import DataLoader, Sinks, make_params, make_plan


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


class TestDataLoader:
    @pytest.mark.parametrize(("source", "loss"), [("digits", "crossentropy"), ("diabetes", "mse")])
    def test_a_recorded_preparation_is_given_to_sources_that_take_one(
        self, source: str, loss: str
    ) -> None:
        job = compose_one(f"data={source}", f"loss={loss}", "data.batch_size=8")
        first = DataLoader()(job)
        assert first.preparation is not None
        assert DataLoader(first.preparation)(job).fingerprint == first.fingerprint

    def test_jobs_with_the_same_data_share_it(self) -> None:
        load = DataLoader()
        first = load(compose_one(*LINEAR))
        assert load(compose_one(*LINEAR, "seed=3", "optimizer=sgd")) is first
        assert load(compose_one(*LINEAR, "data.noise=0.5")) is not first
        assert load(compose_one(*LINEAR)) is first

    def test_fewer_batches_are_other_data(self) -> None:
        load = DataLoader()
        whole, cut = load(compose_one(*LINEAR)), load(compose_one(*LINEAR, "loop.batches=2"))
        assert [len(split) for _, split in cut.splits()] == [64, 64, 64]
        assert cut.fingerprint != whole.fingerprint
        assert load(compose_one(*LINEAR, "loop.batches=2", "seed=4")) is cut

    def test_more_batches_than_there_are_is_all(self) -> None:
        dataset = DataLoader()(compose_one(*LINEAR, "loop.batches=1000"))
        assert [len(split) for _, split in dataset.splits()] == [700, 150, 150]

    def test_another_split_is_other_data(self) -> None:
        load = DataLoader()
        splits = [load(compose_one(*LINEAR, f"data.split_seed={seed}")) for seed in (0, 1)]
        assert splits[0].fingerprint != splits[1].fingerprint
        one, other = (dataset.train.first(700) for dataset in splits)
        assert not np.array_equal(one, other)

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
            (("model=autoencoder",), "crossentropy is not for reconstruction.*model=autoencoder"),
            (("model=gan", "loss=mae"), "loss=mae is not for generation.*model=gan.*mse"),
            (("loop.watch=val/acuracy",), "watch=val/acuracy.*Did you mean 'val/accuracy'"),
            (("loop.watch=accuracy",), "loop.watch=accuracy.*val/accuracy"),
            ((*LINEAR, "loop.watch=val/accuracy"), "watch=val/accuracy.*val/mae"),
            ((*LINEAR, "metric=[]", "loop.watch=val/mae"), "watch=val/mae.*Valid: val/loss"),
            (
                ("data=linear", "model=linear", "loss=poisson", "data.bias=-3"),
                "loss=poisson is for targets from 0 to inf; those of the train split of "
                "data=linear go from -",
            ),
            (
                ("data=linear", "model=linear", "loss=binary_crossentropy", "data.bias=30"),
                "binary_crossentropy is for targets from 0 to 1; those of the train split",
            ),
        ],
    )
    def test_what_is_wrong_is_told(self, overrides: tuple[str, ...], told: str) -> None:
        with pytest.raises(UserError, match=told):
            DataLoader()(compose_one(*overrides))

    @pytest.mark.parametrize(
        "overrides",
        [
            ("loss=binary_crossentropy",),
            ("model=autoencoder", "loss=binary_crossentropy"),
            ("model=autoencoder", "loss=poisson"),
            ("model=gan", "loss=binary_crossentropy", "loop.watch=val/discriminator_loss"),
            ("loop.watch=val/accuracy", "loop.direction=max"),
            (*LINEAR, "loop.watch=val/mae"),
            ("data=diabetes", "loss=poisson", "model=linear"),
        ],
    )
    def test_what_fits_is_loaded(self, overrides: tuple[str, ...]) -> None:
        assert DataLoader()(compose_one(*overrides)).steps_per_epoch > 0

    def test_a_split_out_of_range_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The training targets alone would pass."""
        load, job = DataLoader(), compose_one("data=diabetes", "loss=poisson")
        dataset = load(job)
        targets = dataset.test.targets.copy()
        targets[3] = -0.5
        spoilt = replace(dataset, test=replace(dataset.test, targets=targets))
        monkeypatch.setattr("expt.parts.data.bundled.Diabetes.load", lambda _: spoilt)
        with pytest.raises(UserError, match=r"those of the test split .* go from -0\.5 to"):
            DataLoader()(job)


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
    assert not any(key.rpartition(".")[2].startswith("_") for key in params)
