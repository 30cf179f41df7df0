"""Array files become the same inputs as in training, or are refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.preparation import BYTES, ArrayPreparation, summarize
from expt.prediction.arrays import read_array

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 4, 5, 1), dtype=np.uint8)
SHAPE = PIXELS.shape[1:]
FRACTIONS = PIXELS / np.float32(255)
OF_BYTES = BYTES.to_mapping()
OF_NUMBERS = ArrayPreparation(1.0, summarize(PIXELS.astype(np.int64))).to_mapping()
OF_FRACTIONS = ArrayPreparation(1.0, summarize(FRACTIONS)).to_mapping()
OF_IMAGES = {"kind": "image"}
OF_TABLE = {"kind": "table"}

savez: Callable[..., None] = np.savez  # NumPy's stub takes keywords for allow_pickle


def npy(folder: Path, array: NDArray[Any], name: str = "inputs.npy") -> Path:
    with (folder / name).open("wb") as file:
        np.save(file, array)
    return folder / name


def npz(folder: Path, **arrays: NDArray[Any]) -> Path:
    savez(folder / "inputs.npz", **arrays)
    return folder / "inputs.npz"


@pytest.mark.parametrize("preparation", [OF_BYTES, OF_IMAGES], ids=["array", "image"])
@pytest.mark.parametrize(
    "given",
    [
        PIXELS,
        PIXELS[..., 0],
        PIXELS.astype(np.int64),
        PIXELS.astype(">i2"),
        PIXELS.astype(np.float16),
        PIXELS.astype(np.float64),
        np.asfortranarray(PIXELS),
        FRACTIONS,
        FRACTIONS[..., 0].astype(np.float64),
    ],
    ids=[
        "bytes",
        "no-channels",
        "int64",
        "big-endian",
        "float16",
        "float64",
        "Fortran",
        "fractions",
        "no-channels",
    ],
)
def test_the_same_pixels_are_the_same_inputs(
    tmp_path: Path, given: NDArray[Any], preparation: Mapping[str, Any]
) -> None:
    inputs = read_array(npy(tmp_path, given), SHAPE, preparation)
    assert inputs.shape == PIXELS.shape
    np.testing.assert_allclose(inputs, FRACTIONS, rtol=1e-6)
    np.testing.assert_array_equal(read_array(npz(tmp_path, x=given), SHAPE, preparation), inputs)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_unscaled_numbers_stay_unscaled(tmp_path: Path, dtype: Any) -> None:
    path = npy(tmp_path, PIXELS.astype(dtype))
    np.testing.assert_array_equal(read_array(path, SHAPE, OF_NUMBERS), PIXELS)
    fractions = read_array(npy(tmp_path, FRACTIONS), SHAPE, OF_FRACTIONS)
    np.testing.assert_array_equal(fractions, FRACTIONS, strict=True)


@pytest.mark.parametrize("preparation", [OF_TABLE, {}], ids=["table", "none"])
def test_rows_for_a_table_are_its_features(tmp_path: Path, preparation: Mapping[str, Any]) -> None:
    times = 1.7e12 + np.arange(6).reshape(2, 3)
    rows: list[NDArray[Any]] = [times, times.astype(np.int64), PIXELS[..., 0, :3, 0], np.eye(3) > 0]
    for given in rows:
        np.testing.assert_array_equal(read_array(npy(tmp_path, given), (3,), preparation), given)


def test_inputs_without_a_record_are_floats(tmp_path: Path) -> None:
    inputs = read_array(npy(tmp_path, FRACTIONS), SHAPE, {})
    np.testing.assert_array_equal(inputs, FRACTIONS, strict=True)
    with pytest.raises(UserError, match=r"have the type uint8, and the run has no record"):
        read_array(npy(tmp_path, PIXELS), SHAPE, {})


def test_x_is_read_among_several_arrays(tmp_path: Path) -> None:
    several = npz(tmp_path, a=PIXELS * 0, x=PIXELS, y=np.arange(20))
    np.testing.assert_array_equal(read_array(several, SHAPE, OF_BYTES), FRACTIONS)
    only = npz(tmp_path, images=PIXELS)
    np.testing.assert_array_equal(read_array(only, SHAPE, OF_BYTES), FRACTIONS)


@pytest.mark.parametrize("names", [(), ("a", "b"), ("x_train", "x_test"), ("X", "y")])
def test_several_arrays_without_x_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = npz(tmp_path, **dict.fromkeys(names, PIXELS))
    with pytest.raises(UserError, match=rf"has {len(names)} arrays and none is called x"):
        read_array(path, SHAPE, OF_BYTES)


def test_extension_may_be_uppercase(tmp_path: Path) -> None:
    path = npy(tmp_path, PIXELS, "INPUTS.NPY")
    np.testing.assert_array_equal(read_array(path, SHAPE, OF_BYTES), FRACTIONS)


REFUSED: dict[str, tuple[NDArray[Any], Mapping[str, Any], str]] = {
    "16 bits": (PIXELS.astype(np.uint16) * 257, OF_BYTES, "inputs are uint16 from"),
    "16 bits of an image": (PIXELS.astype(np.uint16) * 257, OF_IMAGES, "inputs are uint16 from"),
    "bool": (PIXELS > 9, OF_BYTES, "inputs are bool from 0 to 1"),
    "fractions": (FRACTIONS, OF_NUMBERS, "inputs are float32 from 0 to 1"),
    "bytes": (PIXELS, OF_FRACTIONS, "inputs are uint8 from 0 to 255"),
    "negative": (PIXELS - 128.0, OF_BYTES, "inputs are float64 from -128 to 127"),
    "NaN": (np.where(PIXELS > 5, np.nan, PIXELS), OF_BYTES, "NaN or infinite"),
    "infinite": (np.where(PIXELS > 5, np.inf, PIXELS), OF_NUMBERS, "NaN or infinite"),
    "empty": (PIXELS[:0], OF_BYTES, "have the shape (0, 4, 5, 1); expected at least one"),
    "one number": (np.array(1.0), OF_BYTES, "have the shape (); expected at least one"),
    "complex": (PIXELS * 1j, OF_BYTES, "have the type complex128; expected numbers"),
    "texts": (PIXELS.astype(str), OF_BYTES, "have the type <U3; expected numbers"),
    "dates": (np.zeros((2, *SHAPE), "M8[s]"), OF_BYTES, "have the type datetime64[s]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_ambiguous_arrays_are_refused(tmp_path: Path, case: str) -> None:
    given, preparation, message = REFUSED[case]
    path = npy(tmp_path, given)
    with pytest.raises(UserError) as error:
        read_array(path, SHAPE, preparation)
    assert message in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["inputs.npy", "inputs.npz"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:20],
        lambda content: b"",  # noqa: ARG005
        lambda content: b"text",  # noqa: ARG005
    ],
    ids=["half", "header", "empty", "text"],
)
def test_damaged_files(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = npz(tmp_path, x=PIXELS) if name.endswith("z") else npy(tmp_path, PIXELS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"{name} can't be read as an"):
        read_array(path, SHAPE, OF_BYTES)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    for path in (npy(tmp_path, np.array([{}], object)), npz(tmp_path, x=np.array([{}], object))):
        with pytest.raises(UserError, match="can't be read as an"):
            read_array(path, SHAPE, OF_BYTES)


def test_an_npz_named_npy(tmp_path: Path) -> None:
    path = npz(tmp_path, x=PIXELS).rename(tmp_path / "inputs.npy")
    with pytest.raises(UserError, match=r"can't be read as an array: it is an \.npz"):
        read_array(path, SHAPE, OF_BYTES)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected \.npy, \.npz, \.csv"):
        read_array(tmp_path / "inputs.txt", SHAPE, OF_BYTES)
