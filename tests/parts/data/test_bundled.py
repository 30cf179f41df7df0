from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from expt.parts.data.dataset import Dataset
from expt.parts.data.source import Source

Make = Callable[..., Source]
SIZES: dict[Make, int] = {Digits: 1797, Diabetes: 442, Iris: 150, Wine: 178, BreastCancer: 569}
TABLES: dict[str, tuple[Make, Callable[..., Any], tuple[str, ...]]] = {
    "iris": (Iris, load_iris, ("setosa", "versicolor", "virginica")),
    "wine": (Wine, load_wine, ("class_0", "class_1", "class_2")),
    "breast_cancer": (BreastCancer, load_breast_cancer, ("malignant", "benign")),
}


def joined(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the flattened inputs and the targets of all splits."""
    splits = [split for _, split in dataset.splits()]
    inputs = np.concatenate([split.first(len(split)) for split in splits])
    return inputs.reshape(len(inputs), -1), np.concatenate([split.targets for split in splits])


@pytest.mark.parametrize("make", SIZES)
@pytest.mark.parametrize("split_seed", [0, 1])
def test_splits_are_70_15_and_15_percent(make: Make, split_seed: int) -> None:
    dataset = make(batch_size=8, split_seed=split_seed).load()
    total = SIZES[make]
    sizes = [len(split) for _, split in dataset.splits()]
    assert sum(sizes) == total
    np.testing.assert_allclose(sizes, total * np.array([0.70, 0.15, 0.15]), atol=1)
    assert dataset.skipped == 0


@pytest.mark.parametrize("make", SIZES)
def test_splits_are_the_same_every_time(make: Make) -> None:
    first = make(batch_size=8, split_seed=3).load()
    np.random.seed(123)  # the global generator must not influence the split
    second = make(batch_size=8, split_seed=3).load()
    for (_, one), (_, other) in zip(first.splits(), second.splits(), strict=True):
        np.testing.assert_array_equal(one.first(99999), other.first(99999))
        np.testing.assert_array_equal(one.targets, other.targets)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("make", SIZES)
def test_split_seed_changes_the_splits(make: Make) -> None:
    first, second = (make(batch_size=8, split_seed=seed).load() for seed in (0, 1))
    assert first.fingerprint != second.fingerprint
    for (_, one), (_, other) in zip(first.splits(), second.splits(), strict=True):
        # Sorted, since another order of the same examples would not be another split.
        one_sorted, other_sorted = (np.sort(s.first(99999), axis=0) for s in (one, other))
        assert not np.array_equal(one_sorted, other_sorted)


@pytest.mark.parametrize("make", SIZES)
def test_batch_size_is_passed_on(make: Make) -> None:
    assert make(batch_size=50).load().batch_size == 50
    with pytest.raises(UserError, match=r"data\.batch_size=2000"):
        make(batch_size=2000).load()


def test_digits() -> None:
    source = Digits(batch_size=64)
    dataset = source.load()
    assert source.task == dataset.task == "classification"
    assert (dataset.name, dataset.input_shape, dataset.num_outputs) == ("digits", (8, 8, 1), 10)
    assert dataset.class_names == tuple("0123456789")
    for _, split in dataset.splits():
        assert split.first(1).dtype == np.float32
        assert split.targets.dtype == np.int32


def test_each_digit_is_in_one_split_with_its_label() -> None:
    images, labels = load_digits(return_X_y=True)
    assert len(np.unique(images, axis=0)) == len(images)  # otherwise the next lines prove nothing
    # Sorted pairs of image and label: the splits hold the same ones, in another order.
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


@pytest.mark.parametrize("name", TABLES)
def test_tables_hold_the_rows_and_classes_of_scikit_learn(name: str) -> None:
    make, load, class_names = TABLES[name]
    dataset = make(batch_size=32).load()
    assert (dataset.name, dataset.task) == (name, "classification")
    assert dataset.class_names == class_names
    assert all(type(name) is str for name in dataset.class_names)
    rows, labels = load(return_X_y=True)
    expected = sorted(zip(map(tuple, rows.tolist()), labels, strict=True))
    inputs, targets = joined(dataset)
    assert sorted(zip(map(tuple, inputs.tolist()), targets, strict=True)) == expected
    for (_, split), fraction in zip(dataset.splits(), (0.70, 0.15, 0.15), strict=True):
        assert split.first(1).dtype == np.float64
        assert split.targets.dtype == np.int32
        np.testing.assert_allclose(
            np.bincount(split.targets), fraction * np.bincount(labels), atol=1.5
        )


def test_diabetes() -> None:
    source = Diabetes(batch_size=32)
    dataset = source.load()
    assert source.task == dataset.task == "regression"
    assert (dataset.name, dataset.input_shape, dataset.num_outputs) == ("diabetes", (10,), 1)
    for _, split in dataset.splits():
        assert split.first(1).dtype == split.targets.dtype == np.float64
    # In the original units, such as years of age.
    rows, progression = load_diabetes(return_X_y=True, scaled=False)
    expected = np.column_stack([rows, progression])
    inputs, targets = joined(dataset)
    assert sorted(np.column_stack([inputs, targets]).tolist()) == sorted(expected.tolist())


@pytest.mark.parametrize("make", [Diabetes, Iris, Wine, BreastCancer])
def test_input_scale_is_fitted_to_the_train_split_only(make: Make) -> None:
    dataset = make(batch_size=32).load()
    scale, inputs = dataset.input_scale, dataset.train.inputs
    assert scale is not None
    assert isinstance(inputs, np.ndarray)
    standardized = (inputs.astype(np.float64) - scale.mean) / scale.deviation
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=0), 1, rtol=1e-5)
    assert make(batch_size=32, standardize=False).load().input_scale is None


def test_target_scale_is_fitted_to_the_train_split_only() -> None:
    dataset = Diabetes(batch_size=32).load()
    assert dataset.target_scale is not None
    values = dataset.train.targets.astype(np.float64)
    np.testing.assert_allclose(dataset.target_scale.mean, values.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.target_scale.deviation, values.std(axis=0), rtol=1e-6)
    assert Diabetes(batch_size=32, standardize_targets=False).load().target_scale is None
    assert Iris(batch_size=32).load().target_scale is None


def test_digits_can_be_augmented() -> None:
    dataset = Digits(batch_size=64, augment={"shift": 1, "mixup": 0.2}).load()
    assert dataset.augmentation == Augmentation(shift=1, mixup=0.2)
    assert dataset.input_scale is None
    assert dataset.train.read(np.arange(100)).min() == 0
    assert dataset.train.read(np.arange(100)).max() == 1
    with pytest.raises(UserError, match=r"data\.augment\.shift=-1"):
        Digits(batch_size=64, augment={"shift": -1}).load()
