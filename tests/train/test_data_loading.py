from dataclasses import replace

import numpy as np
import pytest

from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.data_loading import DataLoader


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


class TestDataLoader:
    @pytest.mark.parametrize(("source", "loss"), [("digits", "crossentropy"), ("diabetes", "mse")])
    def test_recorded_preparation_is_passed_to_sources_that_accept_it(
        self, source: str, loss: str
    ) -> None:
        job = compose_one(f"data={source}", f"loss={loss}", "data.batch_size=8")
        first = DataLoader()(job)
        assert first.preparation is not None
        assert DataLoader(first.preparation)(job).fingerprint == first.fingerprint

    def test_jobs_with_the_same_data_share_one_data_set(self) -> None:
        load = DataLoader()
        first = load(compose_one(*LINEAR))
        assert load(compose_one(*LINEAR, "seed=3", "optimizer=sgd")) is first
        assert load(compose_one(*LINEAR, "data.noise=0.5")) is not first
        assert load(compose_one(*LINEAR)) is first

    def test_limited_batches_are_a_different_data_set(self) -> None:
        load = DataLoader()
        whole, cut = load(compose_one(*LINEAR)), load(compose_one(*LINEAR, "loop.batches=2"))
        assert [len(split) for _, split in cut.splits()] == [64, 64, 64]
        assert cut.fingerprint != whole.fingerprint
        assert load(compose_one(*LINEAR, "loop.batches=2", "seed=4")) is cut

    def test_limit_above_the_size_loads_all_batches(self) -> None:
        dataset = DataLoader()(compose_one(*LINEAR, "loop.batches=1000"))
        assert [len(split) for _, split in dataset.splits()] == [700, 150, 150]

    def test_other_split_is_a_different_data_set(self) -> None:
        load = DataLoader()
        splits = [load(compose_one(*LINEAR, f"data.split_seed={seed}")) for seed in (0, 1)]
        assert splits[0].fingerprint != splits[1].fingerprint
        one, other = (dataset.train.first(700) for dataset in splits)
        assert not np.array_equal(one, other)

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (("loop.epochs=0",), r"loop\.epochs=0"),
            (("loss=crossentropy", "data=linear"), "loss=crossentropy does not support regression"),
            (("data=mnist", "data.path=/nowhere"), "/nowhere"),
            (("data.batch_size=100000",), r"data\.batch_size=100000"),
            (("+data.split_sede=1",), r"data\.split_sede: Digits.*'split_seed'"),
            (("~data.batch_size",), "data: .*batch_size"),
            (("data.split_seed=abc",), "split_seed.*abc"),
            (("data.split_seed=-1",), "split_seed.*-1"),
            ((*LINEAR, "data.num_examples=abc"), "num_examples.*abc"),
            ((*LINEAR, "data.weights=3"), "weights.*3"),
            (
                ("model=autoencoder",),
                "crossentropy does not support reconstruction.*model=autoencoder",
            ),
            (("model=gan", "loss=mae"), "loss=mae does not support generation.*model=gan.*mse"),
            (("loop.watch=val/acuracy",), "watch=val/acuracy.*Did you mean 'val/accuracy'"),
            (("loop.watch=accuracy",), "loop.watch=accuracy.*val/accuracy"),
            ((*LINEAR, "loop.watch=val/accuracy"), "watch=val/accuracy.*val/mae"),
            ((*LINEAR, "metric=[]", "loop.watch=val/mae"), "watch=val/mae.*Valid: val/loss"),
            (
                ("data=linear", "model=linear", "loss=poisson", "data.bias=-3"),
                "loss=poisson needs targets from 0 to inf; those of the train split of "
                "data=linear range from -",
            ),
            (
                ("data=linear", "model=linear", "loss=binary_crossentropy", "data.bias=30"),
                "binary_crossentropy needs targets from 0 to 1; those of the train split",
            ),
        ],
    )
    def test_data_that_does_not_fit_is_an_error(
        self, overrides: tuple[str, ...], message: str
    ) -> None:
        with pytest.raises(UserError, match=message):
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
    def test_data_that_fits_is_loaded(self, overrides: tuple[str, ...]) -> None:
        assert DataLoader()(compose_one(*overrides)).steps_per_epoch > 0

    def test_split_with_targets_out_of_range_is_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only the targets of the test split are out of range."""
        load, job = DataLoader(), compose_one("data=diabetes", "loss=poisson")
        dataset = load(job)
        targets = dataset.test.targets.copy()
        targets[3] = -0.5
        spoilt = replace(dataset, test=replace(dataset.test, targets=targets))
        monkeypatch.setattr("expt.parts.data.bundled.Diabetes.load", lambda _: spoilt)
        with pytest.raises(UserError, match=r"those of the test split .* range from -0\.5 to"):
            DataLoader()(job)
