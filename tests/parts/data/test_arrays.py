import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data import preparation
from expt.parts.data.arrays import Npz
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset
from expt.parts.data.mapped import MappedInputs
from expt.parts.data.scale import Scale

Arrays = Mapping[str, NDArray[Any]]
Write = Callable[[Path, Arrays], Path]

savez: Callable[..., None] = np.savez  # NumPy's stub takes keywords for allow_pickle


def npz(folder: Path, arrays: Arrays) -> Path:
    savez(folder / "arrays.npz", **arrays)
    return folder / "arrays.npz"


def npy_folder(folder: Path, arrays: Arrays) -> Path:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def load(path: Path, **changes: Any) -> Dataset:
    return Npz(path=str(path), **{"batch_size": 4, **changes}).load()


def rows(count: int = 40, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Returns rows whose first number is the index of the example, with alternating labels."""
    inputs = np.random.default_rng(seed).normal(5, 3, (count, 3))
    inputs[:, 0] = np.arange(count)
    return {"x": inputs, "y": np.arange(count) % 2}


def values(count: int = 40) -> dict[str, NDArray[Any]]:
    return {"x": rows(count)["x"], "y": np.arange(count) * 10.0 + 3}


def pixels(count: int = 40, *shape: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(0)
    images = random.integers(256, size=(count, *(shape or (6, 5))), dtype=np.uint8)
    images.reshape(count, -1)[:, 0] = np.arange(count)
    return {"x": images, "y": np.arange(count) % 2}


def parts(*names: str, make: Callable[[int], Arrays] = rows) -> dict[str, NDArray[Any]]:
    sizes = {"train": 30, "val": 10, "test": 12}
    return {f"{key}_{name}": array for name in names for key, array in make(sizes[name]).items()}


def examples(dataset: Dataset) -> Iterator[list[int]]:
    """Yields the indices of each split's examples, which are their first numbers."""
    for _, split in dataset.splits():
        yield split.first(len(split)).reshape(len(split), -1)[:, 0].astype(int).tolist()


@pytest.mark.parametrize("write", [npz, npy_folder])
def test_whole_arrays_are_split_with_the_share_of_each_class(tmp_path: Path, write: Write) -> None:
    arrays = rows()
    dataset = load(write(tmp_path, arrays))
    assert (dataset.name, dataset.task) == ("npz", "classification")
    assert dataset.class_names == ("0", "1")
    assert dataset.augmentation == Augmentation()
    assert [len(split) for _, split in dataset.splits()] == [28, 6, 6]
    assert sorted(place for places in examples(dataset) for place in places) == list(range(40))
    for (_, split), places in zip(dataset.splits(), examples(dataset), strict=True):
        assert split.targets.dtype == np.int32
        assert split.targets.tolist() == [place % 2 for place in places]
        assert split.targets.sum() == len(split) / 2
        inputs = split.first(len(split))
        assert inputs.dtype == np.float64
        np.testing.assert_array_equal(inputs, arrays["x"][places])


@pytest.mark.parametrize("write", [npz, npy_folder])
def test_given_splits_are_kept(tmp_path: Path, write: Write) -> None:
    dataset = load(write(tmp_path, parts("train", "val", "test")))
    assert list(examples(dataset)) == [list(range(30)), list(range(10)), list(range(12))]


@pytest.mark.parametrize("write", [npz, npy_folder])
def test_missing_validation_split_is_drawn_from_train(tmp_path: Path, write: Write) -> None:
    dataset = load(write(tmp_path, parts("train", "test")))
    train, validation, test = examples(dataset)
    assert sorted(train + validation) == list(range(30))
    assert len(validation) in (4, 5)  # 15 % of 30 is 4.5
    assert {place % 2 for place in validation} == {0, 1}
    assert test == list(range(12))


def test_splits_depend_only_on_split_seed(tmp_path: Path) -> None:
    path = npz(tmp_path, rows())
    first = load(path, split_seed=1)
    # NumPy's global generator must not influence the split.
    np.random.seed(123)
    assert load(path, split_seed=1).fingerprint == first.fingerprint
    assert [set(places) for places in examples(load(path, split_seed=2))] != [
        set(places) for places in examples(first)
    ]


@pytest.mark.parametrize("shape", [(), (1,), (2,)])
def test_float_targets_are_a_regression(tmp_path: Path, shape: tuple[int, ...]) -> None:
    arrays = values()
    arrays["y"] = np.stack([arrays["y"]] * (shape[0] if shape else 1), axis=1).reshape(40, *shape)
    dataset = load(npz(tmp_path, arrays))
    assert (dataset.task, dataset.class_names) == ("regression", ())
    assert dataset.num_outputs == (shape[0] if shape else 1)
    for (_, split), places in zip(dataset.splits(), examples(dataset), strict=True):
        assert split.targets.dtype == np.float64
        np.testing.assert_array_equal(split.targets[:, -1], np.array(places) * 10 + 3)
    assert dataset.target_scale is not None
    np.testing.assert_allclose(dataset.target_scale.mean, dataset.train.targets.mean(0), rtol=1e-6)
    assert load(npz(tmp_path, arrays), standardize_targets=False).target_scale is None


@pytest.mark.parametrize(
    "convert",
    [
        lambda labels: labels.astype(np.uint8),
        lambda labels: labels.astype(">i8"),
        lambda labels: labels.astype(bool),
        lambda labels: labels[:, None],
    ],
    ids=["bytes", "big-endian", "bool", "a column"],
)
def test_labels_may_be_any_whole_numbers(tmp_path: Path, convert: Any) -> None:
    dataset = load(npz(tmp_path, {**rows(), "y": convert(rows()["y"])}))
    assert (dataset.task, dataset.num_outputs) == ("classification", 2)
    for (_, split), places in zip(dataset.splits(), examples(dataset), strict=True):
        assert split.targets.tolist() == [place % 2 for place in places]


def test_explicit_task_overrides_the_inferred_one(tmp_path: Path) -> None:
    dataset = load(npz(tmp_path, rows()), task="regression")
    assert (dataset.task, dataset.num_outputs) == ("regression", 1)
    assert dataset.train.targets.dtype == np.float64


def test_class_names(tmp_path: Path) -> None:
    path = npz(tmp_path, rows())
    assert load(path, class_names=["cat", "dog"]).class_names == ("cat", "dog")
    dataset = load(path, class_names=["cat", "dog", "cow"])  # there are no cows
    assert dataset.num_outputs == 3


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((6, 5), (6, 5, 1)), ((6, 5, 3), (6, 5, 3)), ((6, 5, 1), (6, 5, 1))],
)
@pytest.mark.parametrize("stream", [False, True])
def test_uint8_images_become_pixels_from_0_to_1(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...], stream: bool
) -> None:
    arrays = pixels(40, *shape)
    dataset = load(npy_folder(tmp_path, arrays), stream=stream, augment={"flip": True})
    assert dataset.input_shape == expected
    assert dataset.has_images
    assert dataset.augmentation.flip
    assert dataset.input_scale is None
    inputs = dataset.validation.first(6)
    places = np.round(inputs.reshape(6, -1)[:, 0] * 255).astype(int)
    assert inputs.dtype == np.float32
    # In Python numbers, as a reference that is independent of NumPy's float32 division.
    reference = [[value / 255 for value in row.ravel().tolist()] for row in arrays["x"][places]]
    np.testing.assert_allclose(inputs.reshape(6, -1), reference, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float16, np.float64, bool])
def test_inputs_of_other_types_are_unchanged(tmp_path: Path, dtype: Any) -> None:
    arrays = pixels(40, 6, 5)
    arrays["x"] = arrays["x"].astype(dtype)
    dataset = load(npz(tmp_path, arrays))
    assert dataset.input_shape == (6, 5)
    assert dataset.train.first(1).dtype == np.float32
    assert dataset.train.first(28).max() == arrays["x"].astype(np.float32).max()


def test_rows_of_uint8_are_not_images(tmp_path: Path) -> None:
    dataset = load(npz(tmp_path, {**rows(), "x": np.full((40, 3), 200, np.uint8)}))
    assert dataset.train.first(1).tolist() == [[200, 200, 200]]


@pytest.mark.parametrize(
    ("make", "standardize", "expected"),
    [
        (rows, None, True),
        (rows, False, False),
        (rows, True, True),
        (pixels, None, False),
        (pixels, True, True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_inputs_are_scaled_by_the_train_split(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Arrays],
    standardize: bool | None,
    expected: bool,
    stream: bool,
) -> None:
    # Small chunks, so that the scale is fitted in several pieces.
    monkeypatch.setattr(preparation, "_VALUES_AT_ONCE", 100)
    dataset = load(npy_folder(tmp_path, make()), standardize=standardize, stream=stream)
    if not expected:
        assert dataset.input_scale is None
        return
    assert dataset.input_scale is not None
    reference = Scale.fit(dataset.train.read(np.arange(len(dataset.train))))
    np.testing.assert_allclose(dataset.input_scale.mean, reference.mean, rtol=1e-6)
    np.testing.assert_allclose(dataset.input_scale.deviation, reference.deviation, rtol=1e-6)


@pytest.mark.parametrize("stream", [False, True])
def test_constant_feature_is_only_shifted(tmp_path: Path, stream: bool) -> None:
    arrays = rows()
    arrays["x"][:, 2] = 0.1
    scale = load(npy_folder(tmp_path, arrays), stream=stream).input_scale
    assert scale is not None
    assert scale.deviation[2] == 1
    np.testing.assert_allclose(scale.mean[2], 0.1, rtol=1e-6)


@pytest.mark.parametrize("write", [npz, npy_folder])
def test_weights_stay_with_their_examples(tmp_path: Path, write: Write) -> None:
    weights = np.arange(40) % 4
    dataset = load(write(tmp_path, {**rows(), "weights": weights}))
    for (_, split), places in zip(dataset.splits(), examples(dataset), strict=True):
        assert split.weights is not None
        assert split.weights.dtype == np.float32
        assert split.weights.tolist() == [place % 4 for place in places]


def test_weights_may_be_given_for_the_train_split_only(tmp_path: Path) -> None:
    arrays = parts("train", "test")
    dataset = load(npz(tmp_path, {**arrays, "weights_train": np.arange(30.0)}))
    places = list(examples(dataset))
    assert sum(len(some) for some in places[:2]) == 29  # the first example has weight 0
    assert dataset.train.weights is not None
    assert dataset.validation.weights is not None
    assert dataset.train.weights.tolist() == places[0]
    assert dataset.validation.weights.tolist() == places[1]
    assert dataset.test.weights is None


@pytest.mark.parametrize("make", [rows, pixels, values])
@pytest.mark.parametrize("given", [(), ("train", "test"), ("train", "val", "test")])
def test_streams_have_the_same_bits_as_arrays_in_memory(
    tmp_path: Path, make: Callable[..., Arrays], given: tuple[str, ...]
) -> None:
    path = npy_folder(tmp_path, parts(*given, make=make) if given else make())
    memory, stream = load(path), load(path, stream=True)
    order = np.random.default_rng(0).permutation(10)
    for (_, one), (_, other) in zip(memory.splits(), stream.splits(), strict=True):
        assert isinstance(one.inputs, np.ndarray)
        assert isinstance(other.inputs, MappedInputs)
        assert isinstance(other.inputs.array, np.memmap)
        assert one.inputs.shape == other.inputs.shape
        # Shuffled, repeated and empty indices.
        indices = order[order < len(one)]
        for some in (indices, np.repeat(indices, 2), indices[:0]):
            np.testing.assert_array_equal(one.read(some), other.read(some), strict=True)
            np.testing.assert_array_equal(
                one.take(indices).read(np.arange(2)), other.take(indices).read(np.arange(2))
            )
        np.testing.assert_array_equal(one.targets, other.targets, strict=True)
    for name in ("input_scale", "target_scale"):
        scales = getattr(memory, name), getattr(stream, name)
        if scales[0] is None:
            assert scales[1] is None
        else:
            np.testing.assert_array_equal(scales[0].mean, scales[1].mean)
            np.testing.assert_array_equal(scales[0].deviation, scales[1].deviation)


def test_fingerprint_of_a_stream_depends_on_content_and_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = npy_folder(tmp_path, rows())
    first = load(path, stream=True)
    print_of = first.fingerprint
    assert load(path, stream=True).fingerprint == print_of
    assert load(path, stream=True, split_seed=1).fingerprint != print_of
    monkeypatch.setattr(preparation, "_VALUES_AT_ONCE", 10)  # smaller chunks, the same content
    assert load(path, stream=True).fingerprint == print_of
    inputs = first.train.inputs
    assert isinstance(inputs, MappedInputs)
    assert inputs.take(np.arange(28)[::-1]).fingerprint != inputs.fingerprint
    assert inputs.take(np.arange(28)).fingerprint == inputs.fingerprint
    changed = rows()
    changed["x"][17, 1] += 1e-3
    assert load(npy_folder(tmp_path, changed), stream=True).fingerprint != print_of


def test_loading_writes_no_files(tmp_path: Path) -> None:
    path = npy_folder(tmp_path, rows())
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in path.iterdir()}
    for stream in (False, True):
        assert load(path, stream=stream).limited(1).fingerprint
    assert {f: (f.stat().st_mtime_ns, f.read_bytes()) for f in path.iterdir()} == before


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz(tmp_path, rows())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load(Path("~/arrays.npz")).test) == 6


# What is refused


def changed(key: str, index: Any, value: Any, make: Callable[[], Arrays] = rows) -> Arrays:
    arrays = {name: array.copy() for name, array in make().items()}
    arrays[key][index] = value
    return arrays


def without(key: str) -> Arrays:
    return {name: array for name, array in rows().items() if name != key}


BAD_ARRAYS: dict[str, tuple[Arrays, str]] = {
    "no y": (without("y"), "the arrays y are missing; it has x. Expected x and y, or x_train"),
    "nothing": ({}, "the arrays x, y are missing; it has none."),
    "other names": (
        {"data": rows()["x"], "labels": rows()["y"]},
        "the arrays x, y are missing; it has data, labels.",
    ),
    "no test split": (parts("train", "val"), "the arrays x_test, y_test are missing"),
    "half a validation split": (
        {**parts("train", "test"), "x_val": rows()["x"]},
        "the arrays y_val are missing",
    ),
    "weights of nothing": (
        {**parts("train", "test"), "weights": np.ones(30)},
        "the array weights belongs to no inputs; expected weights_train or weights_test",
    ),
    "fewer targets": ({**rows(), "y": np.arange(39) % 2}, "x has 40 examples, y 39;"),
    "fewer weights": (
        {**rows(), "weights": np.ones(7)},
        "x has 40 examples, y 40, weights 7; expected the same number",
    ),
    "NaN inputs": (changed("x", ([3, 4], 1), np.nan), "x has 2 value(s) that are NaN or ∞"),
    "infinite inputs": (changed("x", (3, 1), np.inf), "x has 1 value(s) that are NaN or ∞"),
    "NaN targets": (changed("y", 5, np.nan, values), "y has 1 value(s) that are NaN"),
    "NaN weights": ({**rows(), "weights": np.full(40, np.nan)}, "weights has 40 value(s)"),
    "negative weights": (
        {**rows(), "weights": np.arange(40) - 1},
        "weights has the shape (40,) and values from -1 on; expected",
    ),
    "weights of rank 2": ({**rows(), "weights": np.ones((40, 1))}, "weights has the shape (40, 1)"),
    "NaN in the test split": (
        {**parts("train", "test"), "x_test": np.full((12, 3), np.nan)},
        "x_test has 36 value(s) that are NaN",
    ),
    "negative labels": (changed("y", 5, -3), "y has the label -3; expected labels from 0"),
    "labels from 1 on": (
        {**rows(), "y": rows()["y"] + 1},
        "the labels go up to 2, but class 0 has no example to train on",
    ),
    "a gap in the labels": (
        {**rows(), "y": rows()["y"] * 10**9},
        "the labels go up to 1000000000, but class 1 has no example",
    ),
    "a class in the test split alone": (
        {**parts("train", "test"), "y_test": np.full(12, 2)},
        "the labels go up to 2, but class 2 has no example to train on",
    ),
    "one class": ({**rows(), "y": np.zeros(40, int)}, "all labels are 0; expected at least two"),
    "a rare class": (
        changed("y", 5, 2),
        "class 2 has 1 example(s); expected at least",
    ),
    "values as whole numbers": (
        {**rows(), "y": np.arange(40)},
        "If the targets are values, not classes: data.task=regression.",
    ),
    "one-hot labels": (
        {**rows(), "y": np.eye(2, dtype=int)[rows()["y"]]},
        "y has the shape (40, 2) and whole numbers, which may be classes or values",
    ),
    "one feature": ({**rows(), "x": np.arange(40.0)}, "x has the shape (40,); expected (examples,"),
    "a single number": (
        {**rows(), "x": np.array(1.0)},
        "x has the shape (); expected at least one",
    ),
    "no examples": (
        {"x": np.zeros((0, 3)), "y": np.zeros(0, int)},
        "x has the shape (0, 3); expected at least one example",
    ),
    "no features": ({**rows(), "x": np.zeros((40, 0))}, "x has the shape (40, 0)"),
    "targets of rank 3": (
        {**values(), "y": np.zeros((40, 2, 2))},
        "y has the shape (40, 2, 2); regression expects",
    ),
    "complex inputs": ({**rows(), "x": np.ones((40, 3), complex)}, "x has the type complex128"),
    "text inputs": ({**rows(), "x": np.full((40, 3), "a")}, "x has the type <U1; expected numbers"),
    "names of classes": (
        {**rows(), "y": np.array(["cat", "dog"])[rows()["y"]]},
        "y has the type <U3; expected numbers. numpy.unique(y, return_inverse=True) converts class",
    ),
    "dates": ({**rows(), "x": np.zeros((40, 3), "M8[s]")}, "x has the type datetime64[s]"),
    "other shapes in the test split": (
        {**parts("train", "test"), "x_test": np.ones((12, 4))},
        "inputs of the test split have the shape (4,), those of the train split (3,)",
    ),
    "other types of images": (
        {**parts("train", "test", make=pixels), "x_test": np.ones((12, 6, 5))},
        "x_test: its inputs are float64 from 1 to 1, but the model was trained on uint8 from",
    ),
    "groups of another length": (
        {**rows(), "groups": np.arange(7)},
        "groups has the shape (7,); expected one number or text for each of the 40 examples",
    ),
    "groups that are missing": (
        {**rows(), "groups": np.where(np.arange(40) < 9, np.nan, np.arange(40))},
        "groups has 9 missing value(s), which would form one group; give each",
    ),
    "groups without a name": (
        {**rows(), "groups": np.array(["", "a"])[rows()["y"]]},
        "groups has 20 missing value(s)",
    ),
    "two groups": ({**rows(), "groups": rows()["y"]}, "there are 2 group(s); expected at least 3"),
    "groups beside given splits": (
        {**parts("train", "test"), "groups": np.arange(30)},
        "the array groups belongs to no inputs",
    ),
    "fractions for rows of pixels": (
        {
            **parts("train", "test"),
            "x_train": np.arange(90, dtype=np.uint8).reshape(30, 3),
            "x_test": np.arange(36).reshape(12, 3) / 255,
        },
        "x_test: its inputs are float64 from 0 to 0.137255, but the model was trained on uint8",
    ),
    "weights that are all 0": ({**rows(), "weights": np.zeros(40)}, "weights of the train split"),
    "two examples": ({"x": np.ones((2, 1)), "y": np.ones(2)}, "2 examples are too few to split"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
@pytest.mark.parametrize(("write", "stream"), [(npz, False), (npy_folder, True)])
def test_invalid_arrays_are_reported(tmp_path: Path, case: str, write: Write, stream: bool) -> None:
    arrays, message = BAD_ARRAYS[case]
    path = write(tmp_path, arrays)
    with pytest.raises(UserError) as error:
        load(path, stream=stream)
    assert message in str(error.value)
    assert f"data.path={path}: " in str(error.value) or "data=npz: " in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "clasification"}, "data.task=clasification: expected one of null, class"),
        ({"standardize": "auto"}, "data.standardize=auto: expected one of null, True, False"),
        ({"batch_size": 29}, "data.batch_size=29: data=npz has 28 training examples"),
        ({"class_names": ["cat"]}, "data.class_names=['cat']: expected a list of at least 2"),
        ({"class_names": ["cat", "cat"]}, "expected a list of at least 2 names, all different"),
        ({"class_names": "ab"}, "data.class_names=ab: expected a list"),
        ({"augment": {"flip": True}}, "data.augment: flip, shift, crop and cutout require images"),
        (
            {"augment": {"shift": 20_000}},
            "data.augment.shift=20000: expected a whole number from 0 to 9999.",
        ),
        ({"augment": {"turn": 3}}, "data.augment.turn: there is no such key"),
        ({"stream": True}, "data.stream=true: data.path="),
    ],
)
def test_invalid_options_are_reported(
    tmp_path: Path, changes: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as error:
        load(npz(tmp_path, rows()), **changes)
    assert message in str(error.value)


def test_float_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"y has the type float64 .* expects whole numbers .* y\.astype"
    ):
        load(npz(tmp_path, values()), task="classification")


@pytest.mark.parametrize("path", ["nothing.npz", "no/such/folder", "x" * 300, "a\0b"])
def test_missing_path_is_reported(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=f"data.path={re.escape(str(tmp_path / path))}"):
        load(tmp_path / path)


@pytest.mark.parametrize("path", [None, 5, ""])
def test_invalid_path_is_reported(path: Any) -> None:
    with pytest.raises(UserError, match=f"data.path={path or ''}.*: expected the path"):
        Npz(path=path, batch_size=4).load()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-3],
        lambda content: b"",  # noqa: ARG005
        lambda content: b"x,y\n1,2\n",  # noqa: ARG005
        lambda content: content[:300] + bytes([content[300] ^ 1]) + content[301:],
    ],
    ids=["half", "cut", "empty", "text", "one bit"],
)
def test_damaged_npz_is_reported(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = npz(tmp_path, rows())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=f"{re.escape(str(path))} can't be read as an .npz"):
        load(path)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:20],
        lambda content: b"",  # noqa: ARG005
        lambda content: b"text",  # noqa: ARG005
        lambda content: content.replace(b"(40, 3), }" + b" " * 11, b"(99999999999999, 3), }"),
    ],
    ids=["half", "cut in the header", "empty", "text", "too large for memory"],
)
def test_damaged_npy_is_reported(
    tmp_path: Path, damage: Callable[[bytes], bytes], stream: bool
) -> None:
    file = npy_folder(tmp_path, rows()) / "x.npy"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=f"{re.escape(str(file))} can't be read as an array"):
        load(tmp_path, stream=stream)


def test_npz_named_npy_is_reported(tmp_path: Path) -> None:
    npz(npy_folder(tmp_path, rows()), rows()).rename(tmp_path / "x.npy")
    with pytest.raises(UserError, match=r"can't be read as an array: it is an \.npz"):
        load(tmp_path)


@pytest.mark.parametrize("stream", [False, True])
def test_pickled_objects_are_refused(tmp_path: Path, stream: bool) -> None:
    objects = {**rows(), "x": np.array([[{}]] * 40, object)}
    with pytest.raises(UserError, match=r"x\.npy can't be read as an array"):
        load(npy_folder(tmp_path, objects), stream=stream)
    with pytest.raises(UserError, match=r"can't be read as an \.npz of arrays: Object arrays"):
        load(npz(tmp_path, objects))


@pytest.mark.parametrize("write", [npz, npy_folder])
def test_groups_and_weights_stay_with_their_examples(tmp_path: Path, write: Write) -> None:
    groups = np.arange(40) // 3
    arrays = {**rows(), "weights": np.arange(40) % 4, "groups": groups.astype(str)}
    dataset = load(write(tmp_path, arrays))
    places = list(examples(dataset))
    kept = [place for place in range(40) if place % 4]
    assert sorted(place for some in places for place in some) == kept
    found = [{place // 3 for place in some} for some in places]
    # No group is counted twice, so none is in two splits.
    assert sum(map(len, found)) == len({place // 3 for place in kept})
    for (_, split), some in zip(dataset.splits(), places, strict=True):
        assert split.weights is not None
        assert split.weights.tolist() == [place % 4 for place in some]
        assert split.targets.tolist() == [place % 2 for place in some]


@pytest.mark.parametrize("stream", [False, True])
def test_scales_ignore_examples_of_weight_0(tmp_path: Path, stream: bool) -> None:
    arrays = {**rows(), "weights": np.r_[np.zeros(10), np.ones(30)]}
    arrays["x"][:10] = 1e6  # would dominate the mean if it counted
    dataset = load(npy_folder(tmp_path, arrays), stream=stream)
    assert sum(len(split) for _, split in dataset.splits()) == 30
    assert "10 of 40 examples have the weight 0 and are left out" in dataset.notes[-1]
    assert dataset.input_scale is not None
    assert dataset.input_scale.mean.max() < 1000


@pytest.mark.parametrize("stream", [False, True])
def test_weights_and_groups_of_dropped_duplicates_are_dropped(tmp_path: Path, stream: bool) -> None:
    arrays = {**rows(), "weights": np.arange(40.0) + 1, "groups": np.arange(40) // 2}
    order = np.r_[0:40, 5:25, 5:15]  # up to three copies of an example
    arrays = {name: array[order] for name, array in arrays.items()}
    arrays["y"][-1] = 1 - arrays["y"][-1]  # equal inputs with another target are no duplicate
    dataset = load(npy_folder(tmp_path, arrays), duplicates="drop", stream=stream)
    places = list(examples(dataset))
    assert sorted(place for some in places for place in some) == sorted([*range(40), 14])
    assert "29 duplicates of other examples were dropped." in dataset.notes
    assert sum(len({place // 2 for place in some}) for some in places) == 20
    for (_, split), some in zip(dataset.splits(), places, strict=True):
        assert split.weights is not None
        assert split.weights.tolist() == [place + 1 for place in some]
    kept = load(tmp_path, stream=stream)
    assert sum(len(split) for _, split in kept.splits()) == 70
    assert not any("duplicates" in note for note in kept.notes)


def test_duplicates_of_given_splits_are_dropped_within_each(tmp_path: Path) -> None:
    arrays = parts("train", "test")
    arrays = {name: np.concatenate([array, array[:4]]) for name, array in arrays.items()}
    dataset = load(npz(tmp_path, arrays), duplicates="drop")
    assert [len(split) for _, split in dataset.splits()][2] == 12
    assert len(dataset.train) + len(dataset.validation) == 30
    assert "8 duplicates of other examples were dropped." in dataset.notes


@pytest.mark.parametrize("factor", [1e-200, 1e-40, 1e-3, 1, 1e3, 1e38, 1e200])
def test_only_ratios_of_weights_matter(tmp_path: Path, factor: float) -> None:
    # Most of these factors are beyond the range of float32.
    weights = (np.arange(40) + 1.0) * factor
    split = load(npz(tmp_path, {**rows(), "weights": weights})).train
    assert split.weights is not None
    places = split.read(np.arange(28))[:, 0]
    # The first number is the index, from which the expected weight follows.
    np.testing.assert_allclose(
        split.weights / split.weights.sum(), (places + 1) / (places + 1).sum(), rtol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(-30, 30), st.booleans())
def test_inputs_and_targets_keep_float64_precision(exponent: int, is_stream: bool) -> None:
    arrays = rows()
    arrays["x"] = (arrays["x"] - 5) * 10.0**exponent
    arrays["y"] = arrays["x"][:, 1] * 3
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(npy_folder(Path(folder), arrays), stream=is_stream)
        scale, targets = dataset.input_scale, dataset.target_scale
        assert scale is not None
        assert targets is not None
        inputs = dataset.train.read(np.arange(28))
    np.testing.assert_array_equal(inputs[:, 1] * 3, dataset.train.targets[:, 0])
    standard = (inputs - scale.mean) / scale.deviation
    np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-9)
    np.testing.assert_allclose(
        (dataset.train.targets - targets.mean) / targets.deviation, standard[:, 1:2], atol=1e-9
    )


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.float64, ">i8"])
def test_milliseconds_stay_distinct(tmp_path: Path, dtype: Any) -> None:
    # float32 would round these to multiples of 131,072.
    times = 1_700_000_000_000 + np.arange(40) * 10
    arrays = {"x": times[:, None].astype(dtype), "y": times.astype(dtype)}
    dataset = load(npz(tmp_path, arrays), task="regression")
    for _, split in dataset.splits():
        np.testing.assert_array_equal(split.read(np.arange(len(split))), split.targets)
        assert len(np.unique(split.targets)) == len(split)
        assert set(split.targets[:, 0]) <= set(times.tolist())


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda images: images.astype(np.int64),
        lambda images: images.astype(">i4"),
        lambda images: images.astype(np.float16),
        lambda images: images / 255,
    ],
    ids=["Fortran", "int64", "big-endian", "float16", "fractions"],
)
@pytest.mark.parametrize("stream", [False, True])
def test_recorded_preparation_converts_to_the_same_pixels(
    tmp_path: Path, convert: Callable[..., NDArray[Any]], stream: bool
) -> None:
    trained = load(npz(tmp_path, pixels()))
    arrays = {**pixels(), "x": convert(pixels()["x"])}
    (tmp_path / "other").mkdir()
    path = npy_folder(tmp_path / "other", arrays)
    dataset = load(path, preparation=trained.preparation, stream=stream)
    for (_, one), (_, other) in zip(trained.splits(), dataset.splits(), strict=True):
        indices = np.arange(len(one))
        np.testing.assert_allclose(one.read(indices), other.read(indices), rtol=1e-6)
