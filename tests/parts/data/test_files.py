import gzip
import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data import files
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.files import MNIST, FashionMNIST
from expt.prediction.arrays import read_array

Arrays = Mapping[str, NDArray[Any]]
Write = Callable[[Path, Arrays], Path]

savez: Callable[..., None] = np.savez  # NumPy's stub takes keywords for allow_pickle

IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}

SWAPPED = (("train", "test"), ("test", "train"))


def make_arrays() -> dict[str, NDArray[Any]]:
    """Returns 30 train and 12 test images of 6x5 pixels; the first pixel is the image's index."""
    random = np.random.default_rng(0)
    arrays: dict[str, NDArray[Any]] = {}
    for part, count in (("train", 30), ("test", 12)):
        images = random.integers(256, size=(count, 6, 5), dtype=np.uint8)
        images[:, 0, 0] = np.arange(count)
        arrays[f"x_{part}"] = images
        arrays[f"y_{part}"] = random.integers(10, size=count, dtype=np.uint8)
    return arrays


def idx(array: NDArray[Any]) -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 0x08, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def npz_file(folder: Path, arrays: Arrays) -> Path:
    savez(folder / "some_name.npz", **arrays)
    return folder / "some_name.npz"


def npz_in_a_folder(folder: Path, arrays: Arrays) -> Path:
    savez(folder / "mnist.npz", **arrays)
    return folder


def raw_idx(folder: Path, arrays: Arrays) -> Path:
    for key, name in IDX_NAMES.items():
        (folder / name).write_bytes(idx(arrays[key]))
    return folder


def gzipped_idx(folder: Path, arrays: Arrays) -> Path:
    for key, name in IDX_NAMES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(arrays[key])))
    return folder


def idx_with_dots(folder: Path, arrays: Arrays) -> Path:
    for key, name in IDX_NAMES.items():
        (folder / name.replace("-idx", ".idx")).write_bytes(idx(arrays[key]))
    return folder


def load(path: Path, **changes: Any) -> Dataset:
    arguments: dict[str, Any] = {"batch_size": 4, "num_validation": 8}
    return MNIST(path=str(path), **{**arguments, **changes}).load()


def indices(split: Split) -> list[int]:
    # The order of examples can be read off the first pixels, see make_arrays.
    return [round(float(value) * 255) for value in split.first(len(split))[:, 0, 0, 0]]


@pytest.mark.parametrize("write", [npz_file, npz_in_a_folder, raw_idx, gzipped_idx, idx_with_dots])
def test_reads_every_format(tmp_path: Path, write: Write) -> None:
    arrays = make_arrays()
    dataset = load(write(tmp_path, arrays))
    assert (dataset.name, dataset.task) == ("mnist", "classification")
    assert [len(split) for _, split in dataset.splits()] == [22, 8, 12]

    held_out, rest = indices(dataset.validation), indices(dataset.train)
    assert sorted(held_out + rest) == list(range(30))
    assert indices(dataset.test) == list(range(12))
    for split, part, order in (
        (dataset.train, "train", rest),
        (dataset.validation, "train", held_out),
        (dataset.test, "test", list(range(12))),
    ):
        inputs = split.first(len(split))
        assert inputs.dtype == np.float32
        assert split.targets.dtype == np.int32
        expected = arrays[f"x_{part}"][order][..., None] / 255
        np.testing.assert_allclose(inputs, expected, rtol=1e-6)
        np.testing.assert_array_equal(split.targets, arrays[f"y_{part}"][order])


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype(np.int64),
        lambda array: array.astype(np.uint16),
        lambda array: array.astype(np.float32),
        lambda array: array / 255,
        lambda array: (array / 255).astype(np.float32),
        lambda array: array[..., None],
    ],
    ids=["int64", "uint16", "whole floats", "fractions", "float32 fractions", "channels"],
)
@pytest.mark.parametrize("keys", [["x_train", "x_test"], ["x_test"]])
def test_the_same_pixels_in_any_type_are_the_same_inputs(
    tmp_path: Path, change: Callable[[NDArray[Any]], NDArray[Any]], keys: list[str]
) -> None:
    arrays = make_arrays()
    first = load(npz_file(tmp_path, arrays))
    arrays |= {key: change(arrays[key]) for key in keys}
    other = load(npz_file(tmp_path, arrays))
    for (_, split), (_, expected) in zip(other.splits(), first.splits(), strict=True):
        assert split.dtype == np.float32
        np.testing.assert_allclose(split.inputs, expected.inputs, rtol=1e-6)  # type: ignore[arg-type]
        np.testing.assert_array_equal(split.targets, expected.targets)


def test_labels_may_be_a_column(tmp_path: Path) -> None:
    arrays = make_arrays()
    first = load(npz_file(tmp_path, arrays)).fingerprint
    arrays["y_test"] = arrays["y_test"][:, None].astype(np.int64)
    assert load(npz_file(tmp_path, arrays)).fingerprint == first


def test_labels_of_a_wide_idx_type_are_read(tmp_path: Path) -> None:
    arrays = make_arrays()
    first = load(raw_idx(tmp_path, arrays)).fingerprint
    # Type 0x0C is int32, where the published files have bytes.
    header = bytes([0, 0, 0x0C, 1]) + struct.pack(">I", 12)
    (tmp_path / IDX_NAMES["y_test"]).write_bytes(header + arrays["y_test"].astype(">i4").tobytes())
    assert load(tmp_path).fingerprint == first


@pytest.mark.parametrize("in_training", [np.uint8, np.float64])
@pytest.mark.parametrize("asked", [np.uint8, np.float64])
def test_predictions_prepare_the_same_pixels_alike(
    tmp_path: Path, in_training: type[Any], asked: type[Any]
) -> None:
    arrays = make_arrays()
    pixels = {np.uint8: arrays["x_test"], np.float64: arrays["x_test"] / 255}
    arrays["x_test"] = pixels[in_training]
    if in_training == np.float64:
        arrays["x_train"] = arrays["x_train"] / 255
    dataset = load(npz_file(tmp_path, arrays))
    assert dataset.preparation is not None
    np.save(tmp_path / "asked.npy", pixels[asked])
    # Bytes are ambiguous for a model of fractions: they may be levels or fractions cut to 0 and 1.
    if (in_training, asked) == (np.float64, np.uint8):
        with pytest.raises(UserError, match="trained on float64 from 0 to 1"):
            read_array(tmp_path / "asked.npy", (6, 5, 1), dataset.preparation)
        return
    inputs = read_array(tmp_path / "asked.npy", (6, 5, 1), dataset.preparation)
    np.testing.assert_allclose(inputs, dataset.test.inputs, rtol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["", None, 5])
def test_invalid_path_is_reported(path: Any) -> None:
    with pytest.raises(UserError, match=rf"data\.path={path}: expected the path"):
        MNIST(path=path, batch_size=4).load()


def test_path_of_a_single_idx_file_is_reported(tmp_path: Path) -> None:
    gzipped_idx(tmp_path, make_arrays())
    with pytest.raises(UserError, match=f"is one IDX file; .*: data.path={tmp_path}$"):
        load(tmp_path / f"{IDX_NAMES['x_train']}.gz")


def test_swapped_images_and_labels_are_reported(tmp_path: Path) -> None:
    arrays = make_arrays()
    arrays["x_train"], arrays["y_train"] = arrays["y_train"], arrays["x_train"]
    expected = f"{IDX_NAMES['x_train']} holds labels and .*{IDX_NAMES['y_train']} holds images"
    with pytest.raises(UserError, match=expected):
        load(raw_idx(tmp_path, arrays))


def test_swapped_train_and_test_files_are_noted(tmp_path: Path) -> None:
    arrays = make_arrays()
    assert load(npz_file(tmp_path, arrays)).notes == ()
    swapped = {f"{axis}_{a}": arrays[f"{axis}_{b}"] for axis in "xy" for a, b in SWAPPED}
    (note,) = load(npz_file(tmp_path, swapped), num_validation=4).notes
    assert "more test images (30) than train images (12)" in note


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("darken", "brightest", "white"),
    [(lambda array: array // 16, "15", "255"), (lambda array: array / 255 / 255, "0.003", "1")],
    ids=["levels lost", "divided twice"],
)
def test_dark_images_are_noted(
    tmp_path: Path,
    part: str,
    darken: Callable[[NDArray[Any]], NDArray[Any]],
    brightest: str,
    white: str,
) -> None:
    arrays = make_arrays()
    arrays[f"x_{part}"] = darken(arrays[f"x_{part}"])
    (note,) = load(npz_file(tmp_path, arrays)).notes
    assert f"no {part} image has a pixel above {brightest}" in note
    assert f"from 0 to {white}." in note


@pytest.mark.parametrize("source", [MNIST, FashionMNIST])
@pytest.mark.parametrize("files_of", ["mnist", "fashion_mnist"])
def test_published_labels_of_another_data_set_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: type[MNIST], files_of: str
) -> None:
    arrays = make_arrays()
    # The published labels are not here, so the made ones are declared to be the published ones.
    for part in ("train", "test"):
        digest = hashlib.sha256(arrays[f"y_{part}"].tobytes()).hexdigest()
        monkeypatch.setitem(files._PUBLISHED, digest, (files_of, part))
    arrays["y_train"] = arrays["y_train"].astype(np.int64)
    path = str(npz_file(tmp_path, arrays))
    notes = source(path=path, batch_size=4, num_validation=8).load().notes
    expected = [
        f"the {part} labels are those published as the {part} labels of "
        f"{files_of}; check the files, or choose data={files_of}."
        for part in ("train", "test")
        if source.name != files_of
    ]
    assert list(notes) == expected


def test_published_labels_of_the_other_part_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = make_arrays()
    digest = hashlib.sha256(arrays["y_train"].tobytes()).hexdigest()
    monkeypatch.setitem(files._PUBLISHED, digest, ("mnist", "test"))
    (note,) = load(npz_file(tmp_path, arrays)).notes
    assert note == (
        "the train labels are those published as the test labels of mnist; check the files."
    )


def test_as_many_labels_as_published_but_different_are_noted(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    # Images of one pixel, so that 70,000 of them stay small.
    for part, count in (("train", 60_000), ("test", 10_000)):
        arrays[f"y_{part}"] = np.arange(count).astype(np.uint8) % 10
        arrays[f"x_{part}"] = np.arange(count).astype(np.uint8)[:, None, None]
    notes = MNIST(path=str(raw_idx(tmp_path, arrays)), batch_size=4).load().notes
    assert [note.partition(";")[0] for note in notes] == [
        f"the {part} labels differ from the published ones, or come in another order"
        for part in ("train", "test")
    ]


def test_validation_split_depends_on_split_seed_alone(tmp_path: Path) -> None:
    path = npz_file(tmp_path, make_arrays())
    first = load(path, split_seed=1)
    # NumPy's global generator must not influence the split.
    np.random.seed(123)
    assert load(path, split_seed=1).fingerprint == first.fingerprint
    other = load(path, split_seed=2)
    assert set(indices(other.validation)) != set(indices(first.validation))
    np.testing.assert_array_equal(other.test.inputs, first.test.inputs)


def test_images_may_be_augmented(tmp_path: Path) -> None:
    path = npz_file(tmp_path, make_arrays())
    assert load(path).augmentation == Augmentation()
    assert load(path, augment={"shift": 2}).augmentation == Augmentation(shift=2)
    with pytest.raises(UserError, match=r"data\.augment\.shift=many: expected a whole number"):
        load(path, augment={"shift": "many"})


def test_inputs_are_not_standardized(tmp_path: Path) -> None:
    assert load(npz_file(tmp_path, make_arrays())).input_scale is None


def test_fingerprint_changes_with_one_pixel(tmp_path: Path) -> None:
    arrays = make_arrays()
    first = load(raw_idx(tmp_path, arrays)).fingerprint
    arrays["x_test"][3, 2, 1] ^= 1
    assert load(raw_idx(tmp_path, arrays)).fingerprint != first


def test_fashion_mnist_has_its_own_name_and_classes(tmp_path: Path) -> None:
    savez(tmp_path / "fashion_mnist.npz", **make_arrays())
    dataset = FashionMNIST(path=str(tmp_path), batch_size=4, num_validation=8).load()
    assert dataset.name == "fashion_mnist"
    assert (dataset.class_names[0], dataset.class_names[9]) == ("T-shirt", "boot")
    assert len(set(dataset.class_names)) == 10


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npz_in_a_folder(tmp_path, make_arrays())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load(Path("~")).test) == 12


@pytest.mark.parametrize("source", [MNIST, FashionMNIST])
@pytest.mark.parametrize("folder", ["", "not/there", "x" * 300, "a\0b"])
def test_missing_files_are_named_with_their_place(
    tmp_path: Path, source: type[MNIST], folder: str
) -> None:
    with pytest.raises(UserError) as error:
        source(path=str(tmp_path / folder), batch_size=4).load()
    message = str(error.value)
    for part in (f"data.path={tmp_path / folder}", f"{source.name}.npz", *IDX_NAMES.values()):
        assert part in message


def test_only_the_missing_file_is_named_as_missing(tmp_path: Path) -> None:
    raw_idx(tmp_path, make_arrays())
    (tmp_path / IDX_NAMES["y_test"]).unlink()
    with pytest.raises(UserError) as error:
        load(tmp_path)
    assert IDX_NAMES["y_test"] in str(error.value)
    assert IDX_NAMES["x_train"] not in str(error.value)


@pytest.mark.parametrize("missing", [["y_test"], ["x_train", "y_train"], sorted(IDX_NAMES)])
def test_npz_with_missing_arrays(tmp_path: Path, missing: list[str]) -> None:
    arrays = {key: array for key, array in make_arrays().items() if key not in missing}
    path = npz_file(tmp_path, arrays)
    with pytest.raises(UserError, match=f"the arrays {', '.join(missing)} are missing"):
        load(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-100],
        lambda content: content[: len(content) // 2],
        lambda content: content[:2000] + bytes([content[2000] ^ 1]) + content[2001:],
        lambda content: content[:60] + b"\xff" * 100 + content[160:],
        lambda content: b"",  # noqa: ARG005
        lambda content: b"text",  # noqa: ARG005
        lambda content: b"PK\x03\x04" + bytes(60),  # noqa: ARG005
    ],
    ids=["cut", "half", "one bit", "overwritten", "empty", "text", "the start of a zip"],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_file_that_is_not_an_npz_is_reported(
    tmp_path: Path, save: Callable[..., None], damage: Callable[[bytes], bytes]
) -> None:
    # Large enough that byte 2000 belongs to an array, not to a header; few values compress well.
    file = tmp_path / "mnist.npz"
    arrays = make_arrays()
    images = np.random.default_rng(1).integers(4, size=(30, 28, 28), dtype=np.uint8)
    save(file, **arrays | {"x_train": images})
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=f"{re.escape(str(file))} can't be read as an .npz"):
        load(tmp_path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = npz_file(tmp_path, make_arrays() | {"y_test": np.array([{}] * 12, object)})
    with pytest.raises(UserError, match=r"can't be read as an \.npz"):
        load(path)


def test_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", make_arrays()["x_train"])
    with pytest.raises(UserError, match=r"can't be read as an \.npz"):
        load(tmp_path / "images.npy")


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("x_train", lambda array: array.reshape(30, 30), r"x_train of .*x\.reshape"),
        ("x_train", lambda array: array[:, 0, 0], "is a label; check whether the files are sw"),
        ("x_train", lambda array: array.astype(str), "the type <U3; expected images, numbers"),
        ("x_test", lambda array: array / 128 - 1, "pixels of float64 from -1 to 0.9"),
        ("x_test", lambda array: array / 128, "fractions from 0 to 1"),
        ("x_test", lambda array: np.where(array > 9, np.nan, array), "NaN or infinite"),
        ("x_test", lambda array: array > 127, r"pixels of bool from 0 to 1; .* 255 \* x"),
        ("x_test", lambda array: (array > 127).astype(int), r"int64 from 0 to 1; .* 255 \* x"),
        ("x_test", lambda array: array.astype(np.uint16) * 257, r"from 0 to 64507; .* x // 257"),
        ("x_test", lambda array: array[:, :5], "inputs of the test split have the shape"),
        ("x_test", lambda array: array[:-1], "x_test of .* has 11 images and y_test .* 12 labels"),
        ("y_train", lambda array: np.eye(10, dtype=np.uint8)[array], r"y\.argmax\(axis=1\)"),
        ("y_test", lambda array: array.astype(np.float32), r"float32; .* y\.astype\(int\)"),
        ("y_test", lambda array: array.astype(str), r"type <U3; .* y\.astype\(int\)"),
        ("y_train", lambda array: array + 10, "from 10 to 19; expected labels from 0 to 9"),
        ("y_test", lambda array: array.astype(np.int8) - 10, "expected labels from 0 to 9"),
        ("x_train", lambda array: array[:-1], "29 .* 30"),
        ("y_train", lambda array: array[:-1], "30 .* 29"),
        ("x_test", lambda array: array.astype(np.int32) + 300, "from 0 to 255"),
    ],
)
def test_malformed_arrays_are_reported(
    tmp_path: Path, key: str, change: Callable[[NDArray[Any]], NDArray[Any]], message: str
) -> None:
    arrays = make_arrays()
    arrays[key] = change(arrays[key])
    with pytest.raises(UserError, match=message):
        load(npz_file(tmp_path, arrays))


@pytest.mark.parametrize("num_validation", [-1, 0, 30, 31, 10_000])
def test_num_validation_out_of_range_is_reported(tmp_path: Path, num_validation: int) -> None:
    expected = rf"data\.num_validation={num_validation}: expected a number from 1 to below 30"
    with pytest.raises(UserError, match=expected):
        load(npz_file(tmp_path, make_arrays()), num_validation=num_validation)


@pytest.mark.parametrize("num_validation", [1, 29])
def test_num_validation_at_its_limits(tmp_path: Path, num_validation: int) -> None:
    dataset = load(npz_file(tmp_path, make_arrays()), num_validation=num_validation, batch_size=1)
    assert len(dataset.validation) == num_validation
    assert len(dataset.train) == 30 - num_validation


def test_batch_size_too_large(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.batch_size=23: data=mnist has 22 training"):
        load(npz_file(tmp_path, make_arrays()), batch_size=23)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_the_recorded_preparation_makes_the_same_inputs(tmp_path: Path, dtype: str) -> None:
    arrays = make_arrays()
    dataset = load(raw_idx(tmp_path, arrays))
    assert dataset.preparation is not None
    given = arrays["x_test"][..., None].astype(dtype)
    np.save(tmp_path / "given.npy", given)
    inputs = read_array(tmp_path / "given.npy", dataset.input_shape, dataset.preparation)
    np.testing.assert_array_equal(inputs, dataset.test.inputs, strict=True)
