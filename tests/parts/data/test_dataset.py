import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split


def images(count: int, seed: int = 0) -> Split:
    random = np.random.default_rng(seed)
    return Split(
        random.normal(size=(count, 4, 4, 1)).astype(np.float32),
        random.integers(3, size=count).astype(np.int32),
    )


def classification(**changes: Any) -> Dataset:
    arguments: dict[str, Any] = {
        "name": "shapes",
        "task": "classification",
        "train": images(11, 0),
        "validation": images(5, 1),
        "test": images(4, 2),
        "batch_size": 3,
        "class_names": ("square", "circle", "star"),
    }
    return Dataset(**{**arguments, **changes})


def regression(inputs: Any, targets: Any) -> Dataset:
    split = Split(np.asarray(inputs, np.float32), np.asarray(targets, np.float32))
    return Dataset("points", "regression", split, split, split, batch_size=1)


def changed(array: Any, value: float, index: int = 1) -> Any:
    copy = array.copy()
    copy.flat[index] = value
    return copy


def test_what_is_known_of_classification() -> None:
    dataset = classification()
    assert [(name, len(split)) for name, split in dataset.splits()] == [
        ("train", 11),
        ("val", 5),
        ("test", 4),
    ]
    assert dataset.input_shape == (4, 4, 1)
    assert dataset.num_outputs == 3
    assert dataset.steps_per_epoch == 3  # the two examples left over make no step
    assert dataset.has_images


def test_what_is_known_of_regression() -> None:
    dataset = regression(np.zeros((6, 5)), np.zeros((6, 2)))
    assert dataset.input_shape == (5,)
    assert dataset.num_outputs == 2
    assert dataset.steps_per_epoch == 6
    assert not dataset.has_images


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((8, 8, 1), True), ((8, 8, 3), True), ((8, 8, 2), False), ((8, 8), False), ((8,), False)],
)
def test_has_images(shape: tuple[int, ...], expected: bool) -> None:
    assert regression(np.zeros((2, *shape)), np.zeros((2, 1))).has_images == expected


@pytest.mark.parametrize("which", ["train", "validation", "test"])
@pytest.mark.parametrize("array", ["inputs", "targets"])
def test_fingerprint_changes_with_one_value(which: str, array: str) -> None:
    dataset = classification()
    split = getattr(dataset, which)
    values = getattr(split, array)
    value = values.flat[1] + 1e-3 if array == "inputs" else (values.flat[1] + 1) % 3
    other = dataclasses.replace(split, **{array: changed(values, value)})
    assert classification(**{which: other}).fingerprint != dataset.fingerprint


def test_fingerprint_is_of_the_arrays_alone() -> None:
    dataset = classification()
    assert classification().fingerprint == dataset.fingerprint
    assert classification(name="others", batch_size=2).fingerprint == dataset.fingerprint
    transposed = np.asfortranarray(dataset.train.inputs)
    same = dataclasses.replace(dataset.train, inputs=transposed)
    assert classification(train=same).fingerprint == dataset.fingerprint


def test_fingerprint_changes_with_shapes_and_places() -> None:
    targets = np.zeros((4, 1))
    prints = {
        regression(np.zeros((4, 6)), targets).fingerprint,
        regression(np.zeros((4, 2, 3)), targets).fingerprint,
        regression(np.zeros((4, 3, 2)), targets).fingerprint,
    }
    assert len(prints) == 3
    swapped = classification(validation=images(4, 2), test=images(5, 1))
    assert swapped.fingerprint != classification().fingerprint


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["train", "validation", "test"])
def test_inputs_must_be_finite(which: str, value: float) -> None:
    split = images(6)
    broken = dataclasses.replace(split, inputs=changed(split.inputs, value))
    name = "val" if which == "validation" else which
    with pytest.raises(UserError, match=f"data=shapes: the {name} split .* NaN or ∞"):
        classification(**{which: broken})


def test_target_values_must_be_finite() -> None:
    with pytest.raises(UserError, match="NaN or ∞"):
        regression(np.zeros((2, 1)), [[0.0], [np.nan]])


@pytest.mark.parametrize("label", [-1, 3, 255])
@pytest.mark.parametrize("which", ["train", "validation", "test"])
def test_targets_must_be_classes(which: str, label: int) -> None:
    split = images(6)
    broken = dataclasses.replace(split, targets=changed(split.targets, label))
    with pytest.raises(UserError, match="not all class numbers from 0 to 2"):
        classification(**{which: broken})


def test_regression_has_no_range() -> None:
    assert regression(np.zeros((2, 1)), [[-1.0], [1e6]]).num_outputs == 1


@pytest.mark.parametrize("batch_size", [0, 12, 1000])
def test_batches_must_not_be_larger_than_the_train_split(batch_size: int) -> None:
    expected = f"data.batch_size={batch_size}: data=shapes has 11 training examples"
    with pytest.raises(UserError, match=re.escape(expected)):
        classification(batch_size=batch_size)
    assert classification(batch_size=11).steps_per_epoch == 1


@pytest.mark.parametrize("which", ["train", "validation", "test"])
@pytest.mark.parametrize(("num_inputs", "num_targets"), [(4, 5), (5, 4), (0, 0), (1, 0)])
def test_splits_must_have_inputs_and_targets_of_the_same_number(
    which: str, num_inputs: int, num_targets: int
) -> None:
    broken = Split(images(num_inputs).inputs, images(num_targets).targets)
    with pytest.raises(UserError, match=f"split has {num_inputs} inputs and {num_targets} targets"):
        classification(**{which: broken})


def test_splits_must_have_inputs_of_one_shape() -> None:
    other = Split(np.zeros((5, 4, 5, 1), np.float32), np.zeros(5, np.int32))
    with pytest.raises(UserError, match=re.escape("inputs of the test split have the shape (4, 5")):
        classification(test=other)


@pytest.mark.parametrize("targets", [np.zeros(11), np.zeros((11, 2, 1))])
def test_regression_targets_have_two_dimensions(targets: Any) -> None:
    with pytest.raises(UserError, match=r"expected \(examples, values\)"):
        regression(np.zeros((11, 1)), targets)
