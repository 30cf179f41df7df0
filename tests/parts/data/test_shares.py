"""The option `data.split`, for every source that splits its data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from expt.config.compose import compose_jobs
from expt.errors import UserError
from expt.parts.data.arrays import Npz
from expt.parts.data.bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from expt.parts.data.images import ImageFolder
from expt.parts.data.splitting import (
    DEFAULT_SPLIT,
    Shares,
    group_split_indices,
    split_indices,
)
from expt.parts.data.synthetic import Linear
from expt.parts.data.tables import Csv

COUNT = 200


def linear(folder: Path, **options: Any) -> Linear:
    del folder
    return Linear(weights=[1.0], bias=0, noise=0.1, num_examples=COUNT, batch_size=4, **options)


def npz(folder: Path, **options: Any) -> Npz:
    x = np.random.default_rng(0).normal(size=(COUNT, 3)).astype(np.float32)
    np.savez(folder / "data.npz", x=x, y=np.arange(COUNT) % 2)
    return Npz(path=str(folder / "data.npz"), batch_size=4, **options)


def csv(folder: Path, **options: Any) -> Csv:
    rows = [f"{n / 7},{'ab'[n % 2]},{n // 2}" for n in range(COUNT)]
    (folder / "table.csv").write_text("\n".join(["x,y,g", *rows]))
    path = str(folder / "table.csv")
    return Csv(path=path, target="y", batch_size=4, ignore=["g"], **options)


def grouped_csv(folder: Path, **options: Any) -> Csv:
    rows = [f"{n / 7},{(n % 2 and 'a') or 'b'},g{n // 4}" for n in range(COUNT)]
    (folder / "table.csv").write_text("\n".join(["x,y,g", *rows]))
    return Csv(path=str(folder / "table.csv"), target="y", batch_size=4, group="g", **options)


def images(folder: Path, **options: Any) -> ImageFolder:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 2, 2), np.uint8)
    for number, image in enumerate(pixels):
        place = folder / "images" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:03d}.png")
    return ImageFolder(path=str(folder / "images"), batch_size=4, **options)


def bundled(make: Any) -> Any:
    return lambda _folder, **options: make(batch_size=4, **options)


SOURCES = {
    **{make.__name__: bundled(make) for make in (BreastCancer, Diabetes, Digits, Iris, Wine)},
    **{make.__name__: make for make in (linear, npz, csv, grouped_csv, images)},
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_splits_have_these_shares(name: str, tmp_path: Path) -> None:
    make = SOURCES[name]
    usual, other = make(tmp_path).load(), make(tmp_path, split=[0.5, 0.2, 0.3]).load()
    sizes = np.array([len(split) for _, split in other.splits()])
    # Groups of four rows are not divided.
    slack = 4 if name == "grouped_csv" else 1.01
    np.testing.assert_allclose(sizes, sizes.sum() * np.array([0.5, 0.2, 0.3]), atol=slack)
    assert sizes.sum() == sum(len(split) for _, split in usual.splits())
    assert other.fingerprint != usual.fingerprint
    # The default, written out, changes nothing.
    explicit = make(tmp_path, split=[0.7, 0.15, 0.15]).load()
    assert explicit.fingerprint == usual.fingerprint
    assert other.notes == usual.notes


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ([0.8, 0.2], "expected three numbers between 0 and 1"),
        ([0.7, 0.1, 0.1, 0.1], "expected three numbers between 0 and 1"),
        ([0.8, 0.2, 0], "expected three numbers between 0 and 1"),
        ([1.2, -0.1, -0.1], "expected three numbers between 0 and 1"),
        ([70, 15, 15], "expected three numbers between 0 and 1"),
        ([float("nan"), 0.5, 0.5], "expected three numbers between 0 and 1"),
        ("0.7,0.15,0.15", "expected three numbers between 0 and 1"),
        (0.7, "expected three numbers between 0 and 1"),
        (None, "expected three numbers between 0 and 1"),
        (["0.7", 0.15, 0.15], "expected three numbers between 0 and 1"),
        ([True, 0.15, 0.15], "expected three numbers between 0 and 1"),
        ([0.8, 0.1, 0.2], r"its sum is 1\.1; expected 1\. Did you mean \[0\.7273,0\.0909,0\.1818"),
    ],
)
@pytest.mark.parametrize("name", SOURCES)
def test_invalid_shares_are_refused(name: str, tmp_path: Path, split: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"^(data: )?data\.split=.*: .*{message}"):
        SOURCES[name](tmp_path, split=split).load()


def test_shares_of_thirds_are_accepted() -> None:
    assert Shares.parse([0.333333, 0.333333, 0.333334]).test == 0.333334
    assert Shares.parse(DEFAULT_SPLIT) == Shares(0.7, 0.15, 0.15)


@given(
    st.lists(st.integers(1, 20), min_size=3, max_size=3),
    st.integers(30, 200),
    st.integers(1, 4),
    st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_each_split_has_each_class_and_no_example_is_lost(
    parts: list[int], count: int, num_classes: int, seed: int
) -> None:
    shares = Shares(*(part / sum(parts) for part in parts))
    labels = np.arange(count) % num_classes
    drawn = split_indices(count, seed, labels, shares)
    assert sorted(np.concatenate(drawn).tolist()) == list(range(count))
    for indices in drawn:
        assert set(labels[indices]) == set(range(num_classes))


def test_a_small_class_keeps_an_example_for_training() -> None:
    # 2 % of 15 examples is less than one, but training needs each class.
    labels = np.repeat([0, 1, 2], 5)
    for indices in split_indices(15, 0, labels, Shares(0.02, 0.49, 0.49)):
        assert set(labels[indices]) == {0, 1, 2}


def test_groups_are_split_by_the_shares() -> None:
    groups = np.arange(300) // 3
    sizes = [len(part) for part in group_split_indices(groups, 0, shares=Shares(0.4, 0.4, 0.2))]
    np.testing.assert_allclose(sizes, [120, 120, 60], atol=3)


@pytest.mark.parametrize(("count", "expected"), [(10, [1, 4, 5]), (100, [2, 49, 49])])
def test_no_split_of_points_is_empty(count: int, expected: list[int]) -> None:
    data = Linear(
        weights=[1.0], bias=0, noise=0.1, num_examples=count, batch_size=1, split=[0.02, 0.49, 0.49]
    ).load()
    assert [len(split) for _, split in data.splits()] == expected


def test_given_splits_are_used_as_they_are(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {}
    for part, count in (("train", 20), ("val", 6), ("test", 8)):
        arrays[f"x_{part}"] = np.random.default_rng(0).normal(size=(count, 3))
        arrays[f"y_{part}"] = np.arange(count) % 2
    np.savez(tmp_path / "all.npz", **arrays)
    np.savez(tmp_path / "some.npz", **{k: v for k, v in arrays.items() if "val" not in k})
    shares = [0.5, 0.3, 0.2]

    def load(name: str, **options: Any) -> tuple[list[int], list[str]]:
        data = Npz(path=str(tmp_path / name), batch_size=2, **options).load()
        notes = [note for note in data.notes if "data.split" in note]
        return [len(split) for _, split in data.splits()], notes

    note = "data.split=[0.5,0.3,0.2] has no effect: the data comes in train, validation and test"
    assert load("all.npz") == ([20, 6, 8], [])
    sizes, (found,) = load("all.npz", split=shares)
    assert sizes == [20, 6, 8]
    assert found.startswith(note)
    assert load("some.npz") == ([17, 3, 8], [])
    assert load("some.npz", split=shares) == ([14, 6, 8], [])  # 0.3 of 20 train examples


@pytest.mark.parametrize("data", ["mnist", "fashion_mnist", "cifar10", "cifar100"])
def test_data_with_an_official_test_split_has_no_shares(data: str) -> None:
    given = [f"data={data}", "data.split=[0.7,0.15,0.15]"]
    with pytest.raises(UserError, match=r"test split is the official one.*data\.num_validation=…"):
        compose_jobs(given, None, multirun=False)


@pytest.mark.parametrize("data", ["digits", "iris", "linear", "diabetes", "csv", "npz", "tfds"])
def test_configs_have_the_default_shares(data: str) -> None:
    names = {
        "csv": ["data.path=x", "data.target=y"],
        "npz": ["data.path=x"],
        "tfds": ["data.name=x"],
    }
    (job,), _ = compose_jobs([f"data={data}", *names.get(data, [])], None, multirun=False)
    assert job.config.data["split"] == list(DEFAULT_SPLIT)
