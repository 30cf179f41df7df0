"""IDX files, the format in which MNIST and the data sets modeled on it are published."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"
_OTHER_FILES = {
    b"<": "a web page, as a failed download leaves it",
    b"pk": "a zip archive; unpack it",
    b"bzh": "compressed with bzip2; unpack it",
    b"\xfd7zxz": "compressed with xz; unpack it",
    b"\x93numpy": "a .npy file",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself",
}
_MOST_NAMED = 4


def find_idx_files(folder: Path, name: str) -> dict[str, Path]:
    """Finds the four IDX files of a data set.

    Args:
        folder: The folder of the files. They have the names of the original publication or of its
            mirrors, such as `train-images.idx3-ubyte` and `train-images-idx3-ubyte.gz`.
        name: The name of the data set, for messages.

    Returns:
        The files by the names of their arrays: x_train, y_train, x_test and y_test.

    Raises:
        UserError: If a file is missing.
    """
    files = {key: _find(folder, file_name) for key, file_name in _NAMES.items()}
    found = {key: file for key, file in files.items() if file is not None}
    if len(found) == len(files):
        return found
    missing = [_NAMES[key] for key in files if key not in found]
    raise UserError(
        f"data={name}: the files are not at data.path={folder}. Put there either {name}.npz "
        "(arrays x_train, y_train, x_test, y_test) or the IDX files (.gz is fine) of the data set; "
        f"missing: {', '.join(missing)}. Or set data.path=… to the folder that holds them."
        f"{_other_files(folder)}"
    )


def _find(folder: Path, name: str) -> Path | None:
    # Unpacked copies are often named train-images.idx3-ubyte, and some mirrors write test for t10k.
    names = (name, name.replace("t10k", "test"))
    spellings = [spelling for one in names for spelling in (one, one.replace("-idx", ".idx"))]
    candidates = (folder / f"{spelling}{end}" for spelling in spellings for end in ("", ".gz"))
    return next((file for file in candidates if _is_file(file)), None)


def _is_file(path: Path) -> bool:
    # Path.is_file raises for some paths, such as names that are too long.
    return os.path.isfile(path)  # noqa: PTH113


def _other_files(folder: Path) -> str:
    """Returns a hint: IDX files of unexpected names in the folder, or a subfolder with such files.

    Empty if there are none.
    """
    known = {name.replace("t10k", "test") for name in _NAMES.values()} | set(_NAMES.values())
    try:
        here = sorted(file.name for file in folder.glob("*ubyte*") if file.is_file())
        below = sorted(file.parent for file in folder.glob("*/*ubyte*") if file.is_file())
        below += sorted(file.parent for file in folder.glob("*/*/*ubyte*") if file.is_file())
    except (OSError, ValueError):
        return ""  # a hint must not replace the error that it belongs to
    others = [n for n in here if n.removesuffix(".gz").replace(".idx", "-idx") not in known]
    if others:
        more = ", …" if len(others) > _MOST_NAMED else ""
        return f" The folder has files of other names: {', '.join(others[:_MOST_NAMED])}{more}"
    if below and not here:
        return f" There are IDX files in data.path={below[0]}"
    return ""


def read_idx(file: Path) -> NDArray[Any]:
    """Reads an IDX file, compressed with gzip or not.

    The format is two zero bytes, a byte for the type, a byte for the number of dimensions, their
    sizes and the values; sizes and values are big-endian.

    Raises:
        UserError: If the file can't be read, is not an IDX file, or is truncated.
    """
    try:
        content = file.read_bytes()
        # By content, not by name: an unpacked copy may have kept the ending .gz.
        content = gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise UserError(f"data.path: {file} can't be read: {error}") from error
    _check_header(file, content)
    dtype, rank = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * rank
    shape = struct.unpack(f">{rank}I", content[4:start])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise UserError(
            f"data.path: {file} is not a complete IDX file: its header (shape {shape}, type "
            f"{dtype.name}) announces {expected:,} bytes, but there are {len(content):,}; copy it "
            "again."
        )
    # Converted to native byte order once, instead of in every computation.
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def is_idx(file: Path) -> bool:
    """Returns whether a file, compressed with gzip or not, starts like an IDX file."""
    try:
        with file.open("rb") as stream:
            is_compressed = stream.read(2) == _GZIP
        with gzip.open(file) if is_compressed else file.open("rb") as stream:
            return _has_magic_number(stream.read(4))
    except (OSError, EOFError, zlib.error):
        return False


def _has_magic_number(content: bytes) -> bool:
    return len(content) >= 4 and content[:2] == bytes(2) and content[2] in _TYPES and content[3] > 0


def _check_header(file: Path, content: bytes) -> None:
    if _has_magic_number(content) and len(content) >= 4 + 4 * content[3]:
        return
    lowered = content[:100].lstrip().lower()
    kinds = (kind for start, kind in _OTHER_FILES.items() if lowered.startswith(start))
    if _has_magic_number(content):
        found = "it ends within its header; copy it again"
    elif not content:
        found = "it is empty"
    else:
        begins = f"it begins with {content[:8]!r}, not with two zero bytes, a type and a rank"
        # A known kind of file says more than its first bytes.
        found = f"it is {kind}" if (kind := next(kinds, None)) else begins
    raise UserError(f"data.path: {file} is not an IDX file: {found}.")
