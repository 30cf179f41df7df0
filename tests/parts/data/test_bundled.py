from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits

from expt.errors import UserError
from expt.parts.data.bundled import Diabetes, Digits
from expt.parts.data.dataset import Dataset

Make = Callable[..., Digits | Diabetes]


def joined(dataset: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The inputs, flattened, and the targets of all splits."""
    splits = [split for _, split in dataset.splits()]
    inputs = np.concatenate([split.inputs for split in splits])
    return inputs.reshape(len(inputs), -1), np.concatenate([split.targets for split in splits])


@pytest.mark.parametrize("make", [Digits, Diabetes])
@pytest.mark.parametrize("split_seed", [0, 1])
def test_splits_are_70_15_and_15_percent(make: Make, split_seed: int) -> None:
    dataset = make(batch_size=8, split_seed=split_seed).load()
    total = 1797 if make is Digits else 442
    sizes = [len(split) for _, split in dataset.splits()]
    assert sum(sizes) == total
    np.testing.assert_allclose(sizes, total * np.array([0.70, 0.15, 0.15]), atol=1)


@pytest.mark.parametrize("make", [Digits, Diabetes])
def test_splits_are_the_same_every_time(make: Make) -> None:
    first = make(batch_size=8, split_seed=3).load()
    np.random.seed(123)  # the global state has no say
    second = make(batch_size=8, split_seed=3).load()
    for (_, one), (_, other) in zip(first.splits(), second.splits(), strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("make", [Digits, Diabetes])
def test_split_seed_changes_the_splits(make: Make) -> None:
    first, second = (make(batch_size=8, split_seed=seed).load() for seed in (0, 1))
    assert first.fingerprint != second.fingerprint
    for (_, one), (_, other) in zip(first.splits(), second.splits(), strict=True):
        assert not np.array_equal(np.sort(one.inputs, axis=0), np.sort(other.inputs, axis=0))


@pytest.mark.parametrize("make", [Digits, Diabetes])
def test_batch_size(make: Make) -> None:
    assert make(batch_size=100).load().batch_size == 100
    with pytest.raises(UserError, match=r"data\.batch_size=2000"):
        make(batch_size=2000).load()


def test_digits() -> None:
    source = Digits(batch_size=64)
    dataset = source.load()
    assert source.task == dataset.task == "classification"
    assert (dataset.name, dataset.input_shape, dataset.num_outputs) == ("digits", (8, 8, 1), 10)
    assert dataset.class_names == tuple("0123456789")
    for _, split in dataset.splits():
        assert split.inputs.dtype == np.float32
        assert split.targets.dtype == np.int32


def test_digits_puts_each_image_with_its_label_in_one_split() -> None:
    images, labels = load_digits(return_X_y=True)
    assert len(np.unique(images, axis=0)) == len(images)  # so that the next lines show something
    expected = sorted(zip(map(tuple, images / 16), labels, strict=True))
    inputs, targets = joined(Digits(batch_size=64).load())
    assert sorted(zip(map(tuple, inputs.astype(float)), targets, strict=True)) == expected


def test_digits_are_stratified() -> None:
    _, labels = load_digits(return_X_y=True)
    counts = np.bincount(labels)
    for (_, split), fraction in zip(
        Digits(batch_size=64).load().splits(), (0.70, 0.15, 0.15), strict=True
    ):
        np.testing.assert_allclose(np.bincount(split.targets), fraction * counts, atol=1.5)


def test_diabetes() -> None:
    source = Diabetes(batch_size=32)
    dataset = source.load()
    assert source.task == dataset.task == "regression"
    assert (dataset.name, dataset.input_shape, dataset.num_outputs) == ("diabetes", (10,), 1)
    for _, split in dataset.splits():
        assert split.inputs.dtype == split.targets.dtype == np.float32


def test_diabetes_is_standardised_by_the_train_split() -> None:
    dataset = Diabetes(batch_size=32).load()
    for values in (dataset.train.inputs, dataset.train.targets):
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-4)

    # One affine map a column leads back to the rows: the other splits have the same one.
    def standardised(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((rows - rows.mean(axis=0)) / rows.std(axis=0))

    inputs, targets = joined(dataset)
    rows = standardised(np.column_stack([inputs, targets]).astype(np.float64))
    originals = standardised(np.column_stack(load_diabetes(return_X_y=True)))
    distances = np.abs(rows[:, None] - originals[None]).max(axis=-1)
    assert distances.min(axis=1).max() < 1e-4
    assert sorted(distances.argmin(axis=1)) == list(range(442))
