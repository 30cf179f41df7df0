import dataclasses
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.scale import Scale


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


@dataclass(frozen=True)
class Streamed:
    """A stream that counts how many inputs were read."""

    inputs: NDArray[np.float32]
    fingerprint: str = "abc"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.inputs.shape

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        assert len(indices) < len(self.inputs), "all inputs were read at once"
        return np.asarray(self.inputs[indices])

    def take(self, indices: NDArray[np.integer[Any]]) -> "Streamed":
        return Streamed(self.inputs[indices], f"{self.fingerprint} of {len(indices)}")


def weighted(count: int, seed: int = 0) -> Split:
    weights = np.arange(count, dtype=np.float32) % 3
    return dataclasses.replace(images(count, seed), weights=weights)


def streamed(split: Split) -> Split:
    assert isinstance(split.inputs, np.ndarray)
    return dataclasses.replace(split, inputs=Streamed(split.inputs))


def changed(array: Any, value: float, index: int = 1) -> Any:
    copy = array.copy()
    copy.flat[index] = value
    return copy


def test_properties_of_a_classification() -> None:
    dataset = classification()
    assert [(name, len(split)) for name, split in dataset.splits()] == [
        ("train", 11),
        ("val", 5),
        ("test", 4),
    ]
    assert dataset.input_shape == (4, 4, 1)
    assert dataset.num_outputs == 3
    assert dataset.steps_per_epoch == 3  # the two remaining examples are not a full batch
    assert dataset.has_images


def test_properties_of_a_regression() -> None:
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


def test_fingerprint_depends_only_on_the_arrays() -> None:
    dataset = classification()
    assert classification().fingerprint == dataset.fingerprint
    assert classification(name="others", batch_size=2).fingerprint == dataset.fingerprint
    # The same values in another memory layout.
    transposed = np.asfortranarray(dataset.train.inputs)
    same = dataclasses.replace(dataset.train, inputs=transposed)
    assert classification(train=same).fingerprint == dataset.fingerprint


def test_fingerprint_changes_with_shapes_and_splits() -> None:
    # The same bytes in three shapes: the shape must be hashed as well.
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
def test_labels_must_be_in_range(which: str, label: int) -> None:
    split = images(6)
    broken = dataclasses.replace(split, targets=changed(split.targets, label))
    with pytest.raises(UserError, match="not all labels from 0 to 2"):
        classification(**{which: broken})


def test_values_of_a_regression_have_no_range() -> None:
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


@pytest.mark.parametrize("change", [lambda split: split, streamed])
def test_take_selects_inputs_targets_and_weights(change: Any) -> None:
    split, order = weighted(9), np.array([7, 0, 3, 3])
    part = change(split).take(order)
    assert len(part) == 4
    np.testing.assert_array_equal(part.read(np.arange(3)), split.read(order[:3]))
    np.testing.assert_array_equal(part.targets, split.targets[order])
    np.testing.assert_array_equal(part.weights, [1, 0, 0, 0])
    assert images(9).take(order).weights is None


@pytest.mark.parametrize("change", [lambda split: split, streamed])
def test_split_reads_in_the_order_of_the_indices(change: Any) -> None:
    split = images(9)
    assert isinstance(split.inputs, np.ndarray)
    np.testing.assert_array_equal(change(split).read(np.array([5, 1])), split.inputs[[5, 1]])
    np.testing.assert_array_equal(change(split).first(2), split.inputs[:2])


def test_first_returns_at_most_all_inputs() -> None:
    assert len(images(9).first(20)) == 9
    assert len(images(9).first(0)) == 0


def test_creating_a_dataset_does_not_read_streams() -> None:
    dataset = classification(train=streamed(images(11)))
    assert dataset.input_shape == (4, 4, 1)
    assert dataset.has_images
    assert isinstance(dataset.limited(1).train.inputs, Streamed)
    # The shape is checked without reading.
    wrong = streamed(Split(np.zeros((6, 5), np.float32), np.zeros(6, np.int32)))
    with pytest.raises(UserError, match="inputs of the val split have the shape"):
        classification(validation=wrong)


def test_fingerprint_changes_with_weights_and_streams() -> None:
    split, plain = weighted(11), classification()
    assert split.weights is not None
    heavier = dataclasses.replace(split, weights=changed(split.weights, 5.0))
    ones = dataclasses.replace(split, weights=np.ones(11, np.float32))
    inputs = split.inputs
    assert isinstance(inputs, np.ndarray)
    others = dataclasses.replace(split, inputs=Streamed(inputs, "abd"))
    trained = [plain.train, split, heavier, ones, streamed(split), others]
    prints = [classification(train=train).fingerprint for train in trained]
    assert len(set(prints)) == len(prints)
    assert classification(train=weighted(11)).fingerprint == prints[1]
    assert classification(train=streamed(weighted(11))).fingerprint == prints[4]


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(10, np.float32),
        np.ones((11, 1), np.float32),
        np.full(11, -1, np.float32),
        np.zeros(11, np.float32),
        changed(np.ones(11, np.float32), np.nan),
        changed(np.ones(11, np.float32), np.inf),
    ],
    ids=["too few", "rank 2", "negative", "all masked", "NaN", "infinite"],
)
def test_weights_must_be_finite_and_at_least_0(weights: NDArray[np.float32]) -> None:
    expected = (
        rf"weights of the train split, of shape {re.escape(str(weights.shape))}, are invalid; "
        r"expected the shape \(11,\) and finite numbers of at least 0, not all of them 0\."
    )
    with pytest.raises(UserError, match=expected):
        classification(train=dataclasses.replace(images(11), weights=weights))


def test_examples_of_weight_0_are_left_out() -> None:
    whole = classification(train=weighted(11))
    counted = whole.without_zero_weights()
    assert whole.train.weights is not None
    assert counted.train.weights is not None
    kept = np.flatnonzero(whole.train.weights)
    np.testing.assert_array_equal(counted.train.targets, whole.train.targets[kept])
    np.testing.assert_array_equal(counted.train.first(11), whole.train.first(11)[kept])
    assert counted.train.weights.min() > 0
    assert (counted.validation, counted.test) == (whole.validation, whole.test)
    num_all = sum(len(split) for _, split in whole.splits())
    (note,) = counted.notes
    assert note.startswith(f"{11 - len(kept)} of {num_all} examples have the weight 0")
    assert counted.without_zero_weights() is counted


def test_scale_has_mean_and_std_of_each_column() -> None:
    values = np.random.default_rng(0).normal([3, -50], [0.1, 20], (200, 2)).astype(np.float32)
    scale = Scale.fit(values)
    # The definition, in Python numbers, as an independent reference.
    columns = [[float(value) for value in column] for column in values.T]
    means = [sum(column) / 200 for column in columns]
    variances = [
        sum((value - mean) ** 2 for value in column) / 200
        for column, mean in zip(columns, means, strict=True)
    ]
    np.testing.assert_allclose(scale.mean, means, rtol=1e-6)
    np.testing.assert_allclose(scale.deviation, np.sqrt(variances), rtol=1e-6)
    assert scale.mean.dtype == scale.deviation.dtype == np.float64


COLUMN = np.random.default_rng(0).normal(3.0, 2.0, 200)


@given(st.integers(-150, 150), st.floats(-1e6, 1e6))
def test_scale_is_exact_in_any_unit_and_around_any_mean(exponent: int, shift: float) -> None:
    unit = 10.0**exponent
    values = (COLUMN + shift) * unit
    scale = Scale.fit(values[:, None])
    standardized = (values - scale.mean) / scale.deviation
    expected = (COLUMN - COLUMN.mean()) / COLUMN.std()
    np.testing.assert_allclose(standardized, expected, rtol=0, atol=1e-8)


def test_scale_only_shifts_constants() -> None:
    # A spread of 0.5 around 1e15 is near the resolution of float64, but not a constant.
    values = np.column_stack([np.full(200, 0.1), 1e15 + np.arange(200) % 2])
    scale = Scale.fit(values)
    assert (scale.mean[0], scale.deviation[0]) == (0.1, 1.0)
    assert (scale.mean[1], scale.deviation[1]) == (1e15 + 0.5, 0.5)


def test_scale_of_images_is_per_channel() -> None:
    values = np.random.default_rng(0).random((6, 5, 4, 3), np.float32)
    scale = Scale.fit(values)
    expected = Scale.fit(values.reshape(-1, 3))
    np.testing.assert_array_equal(scale.mean, expected.mean)
    np.testing.assert_array_equal(scale.deviation, expected.deviation)
    assert scale.mean.shape == (3,)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-20, 12345.678, 1e30])
def test_constant_targets_are_only_shifted(value: float) -> None:
    scale = Scale.fit(np.full((1000, 1), value, np.float32))
    np.testing.assert_allclose(scale.mean, value, rtol=1e-6)
    assert scale.deviation == 1


def test_default_augmentation_changes_nothing() -> None:
    assert Augmentation.parse({}) == Augmentation()
    given = {"flip": False, "shift": 0, "crop": 1.0, "cutout": 0, "mixup": 0.0}
    assert Augmentation.parse(given) == Augmentation()
    assert not Augmentation(mixup=0.3).changes_images


@pytest.mark.parametrize(
    ("key", "value"), [("flip", True), ("shift", 2), ("crop", 0.5), ("cutout", 3)]
)
def test_image_augmentation_requires_images(key: str, value: Any) -> None:
    augmentation = Augmentation.parse({key: value})
    assert getattr(augmentation, key) == value
    assert augmentation.changes_images
    assert classification(augmentation=augmentation).augmentation == augmentation
    rows = Split(np.zeros((6, 5), np.float32), np.zeros((6, 1), np.float32))
    with pytest.raises(UserError, match=r"require images; .* data=points have the shape"):
        Dataset("points", "regression", rows, rows, rows, batch_size=1, augmentation=augmentation)
    # mixup alone works for any shape.
    mixed = Augmentation(mixup=0.2)
    Dataset("points", "regression", rows, rows, rows, batch_size=2, augmentation=mixed)


def test_mixup_requires_batches_of_two() -> None:
    rows = Split(np.zeros((6, 5), np.float32), np.zeros((6, 1)))
    mixed = Augmentation(mixup=0.2)
    with pytest.raises(UserError, match=r"mixup=0\.2 .*batch_size=1 .* data\.batch_size=2 or more"):
        Dataset("points", "regression", rows, rows, rows, batch_size=1, augmentation=mixed)


@pytest.mark.parametrize(("key", "most"), [("shift", 4), ("cutout", 8)])
def test_augmentation_that_can_blank_an_image_is_refused(key: str, most: int) -> None:
    images = Split(np.zeros((6, 5, 9, 1), np.float32), np.zeros((6, 1)))

    def load(pixels: int) -> Dataset:
        augmentation = Augmentation.parse({key: pixels})
        return Dataset("x", "regression", images, images, images, 2, augmentation=augmentation)

    assert getattr(load(most).augmentation, key) == most
    expected = rf"augment\.{key}={most + 1} can blank whole images.* 5x9 pixels.*{key}={most} or"
    with pytest.raises(UserError, match=expected):
        load(most + 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("flip", 1),
        ("flip", "yes"),
        ("shift", -1),
        ("shift", 1.5),
        ("shift", True),
        ("shift", 10_000),
        ("crop", 0),
        ("crop", 1.1),
        ("crop", float("nan")),
        ("cutout", "4"),
        ("cutout", None),
        ("mixup", -0.1),
        ("mixup", True),
    ],
)
def test_augmentation_out_of_range_is_reported(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"data\.augment\.{key}={value}: expected"):
        Augmentation.parse({key: value})


def test_misspelt_augmentation_is_reported() -> None:
    with pytest.raises(UserError, match=r"data\.augment\.cutoff: .* Did you mean 'cutout'\?"):
        Augmentation.parse({"cutoff": 4})


def test_limited_takes_the_same_few_examples_of_each_split() -> None:
    dataset = classification(train=weighted(11), preparation={"columns": []}, skipped=3)
    limited = dataset.limited(2)
    assert [len(split) for _, split in limited.splits()] == [6, 5, 4]
    assert limited.fingerprint == dataset.limited(2).fingerprint != dataset.fingerprint
    assert (limited.batch_size, limited.steps_per_epoch, limited.skipped) == (3, 2, 3)
    assert limited.preparation == dataset.preparation
    whole, taken = dataset.train.first(11), limited.train.first(6)
    places = np.array([np.flatnonzero((whole == one).all((1, 2, 3))).item() for one in taken])
    assert len(set(places)) == 6
    assert list(places) != list(range(6))  # a random sample, not the first examples
    np.testing.assert_array_equal(limited.train.targets, dataset.train.targets[places])
    np.testing.assert_array_equal(limited.train.weights, places % 3)
