import gzip
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.idx import find_idx_files, is_idx, read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
EXAMPLE = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)


def written(array: NDArray[Any]) -> bytes:
    code = CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        bytes([0, 0, code, array.ndim])
        + sizes
        + array.astype(array.dtype.str[1:]).byteswap(inplace=False).tobytes()
    )


def independently_read(content: bytes) -> NDArray[Any]:
    """Reads an IDX file by the description of the format, as a reference."""
    magic = np.frombuffer(content, ">u4", 1)[0]
    letters = {code: name for name, code in CODES.items()}[int(magic) >> 8]
    rank = int(magic) & 255
    sizes = np.frombuffer(content, ">u4", rank, 4).astype(int)
    return np.frombuffer(content[4 + 4 * rank :], np.dtype(letters).newbyteorder(">")).reshape(
        sizes
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda letters: arrays_of.arrays(
            np.dtype(letters), arrays_of.array_shapes(max_dims=4, max_side=5)
        )
    ),
    is_compressed=st.booleans(),
    end=st.sampled_from(["", ".gz"]),
)
def test_every_type_and_shape_is_read_as_numpy_reads_it(
    tmp_path: Path, array: NDArray[Any], end: str, *, is_compressed: bool
) -> None:
    content = written(array)
    file = tmp_path / f"values{end}"
    file.write_bytes(gzip.compress(content, 1) if is_compressed else content)
    values = read_idx(file)
    assert values.dtype == array.dtype
    assert values.dtype.isnative  # although the file is big-endian
    np.testing.assert_array_equal(values, array)
    np.testing.assert_array_equal(values, independently_read(content))
    assert is_idx(file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "announces 76 bytes, but there are 75"),
        (lambda content: content + bytes(1), "announces 76 bytes, but there are 77"),
        (lambda content: content[:9], "ends within its header"),
        (lambda content: content[:3], "begins with"),
        (lambda _: b"", "is empty"),
        # An unknown type, no dimensions, and a little-endian magic number.
        (lambda content: bytes([0, 0, 0x0A]) + content[3:], "begins with"),
        (lambda content: bytes([0, 0, 8, 0]) + content[4:], "begins with"),
        (lambda content: content[3::-1] + content[4:], "begins with"),
        (lambda content: b"\n<!DOCTYPE html>" + content, "a web page"),
        (lambda content: b"PK\x03\x04" + content, "a zip archive; unpack it"),
        (lambda content: b"version https://git-lfs.github.com/spec/v1" + content, "Git LFS"),
    ],
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_files_that_are_not_idx_are_reported_by_kind(
    tmp_path: Path, damage: Callable[[bytes], bytes], message: str, *, is_compressed: bool
) -> None:
    file = tmp_path / "values"
    content = damage(written(EXAMPLE))
    file.write_bytes(gzip.compress(content) if is_compressed else content)
    with pytest.raises(
        UserError, match=rf"{re.escape(str(file))} is not (an|a complete) IDX file.*{message}"
    ):
        read_idx(file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:5],
        lambda content: content[:40] + bytes(20) + content[60:],
    ],
    ids=["cut", "cut in the header", "overwritten"],
)
def test_damaged_gzip_is_reported(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "values.gz"
    file.write_bytes(damage(gzip.compress(written(EXAMPLE))))
    with pytest.raises(UserError, match=f"{re.escape(str(file))} can't be read"):
        read_idx(file)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"PK\x03\x04", b"x,y\n1,2\n", bytes(8)])
def test_is_idx_rejects_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert not is_idx(tmp_path / "file")
    assert not is_idx(tmp_path / "none")


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: name.replace("-idx", ".idx"),
        lambda name: f"{name}.gz",
        lambda name: name.replace("-idx", ".idx") + ".gz",
        lambda name: name.replace("t10k", "test"),
    ],
)
def test_names_of_mirrors_are_found(tmp_path: Path, rename: Callable[[str], str]) -> None:
    expected = {key: tmp_path / rename(name) for key, name in NAMES.items()}
    for file in expected.values():
        file.touch()
    assert find_idx_files(tmp_path, "mnist") == expected


def test_files_of_other_names_are_reported_and_not_read(tmp_path: Path) -> None:
    # Files of another data set are a hint, not a replacement.
    for name in NAMES.values():
        (tmp_path / f"emnist-digits-{name}.gz").touch()
    (tmp_path / NAMES["x_train"]).touch()
    with pytest.raises(UserError, match="other names: emnist-digits-t10k-images") as error:
        find_idx_files(tmp_path, "mnist")
    assert f"missing: {NAMES['y_train']}, {NAMES['x_test']}" in str(error.value)


@pytest.mark.parametrize("folder", ["raw", "MNIST/raw"])
def test_subfolder_with_idx_files_is_suggested(tmp_path: Path, folder: str) -> None:
    # torchvision unpacks MNIST to MNIST/raw.
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / NAMES["x_train"]).touch()
    with pytest.raises(UserError, match=f"IDX files in data.path={tmp_path / folder}$"):
        find_idx_files(tmp_path, "mnist")
