"""What sources that read the user's own files share: finding, reading and refusing them."""

import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from expt.errors import UserError

_LARGEST_EXPONENT = 32  # of two, of weights that are taken as they are

Choose = Callable[[Sequence[str]], Sequence[str]]
"""Gets the names of the arrays that there are and returns those to read, or raises UserError."""

NO_CLASSES = " If the targets are values, not classes: data.task=regression."

UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    RuntimeError,  # an encrypted archive, or one of an unknown compression
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,  # NumPy reads an array's header as Python does
    tokenize.TokenError,
    TypeError,
    OverflowError,
)
"""What reading a damaged file of arrays raises."""


def check_choice(key: str, value: object, choices: Sequence[object]) -> None:
    """Checks an option that has few values.

    Raises:
        UserError: The value is none of them.
    """
    if value not in choices:
        expected = ", ".join("null" if choice is None else str(choice) for choice in choices)
        raise UserError(f"data.{key}={value}: expected one of {expected}.")


@contextmanager
def told_of(place: str = "", advice: str = "") -> Iterator[None]:
    """Puts the place that is at fault before what a user is told, and advice behind it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}{error}{advice}") from error


def to_weights(values: NDArray[Any]) -> NDArray[np.float32]:
    """Returns weights of examples as float32.

    Their ratios alone count. Where float32 could not hold them or their sum, they are divided by a
    power of two.
    """
    exact = values.astype(np.float64)
    exponent = int(np.frexp(exact.max(initial=0.0))[1])
    scaled = np.ldexp(exact, -exponent) if abs(exponent) > _LARGEST_EXPONENT else exact
    return scaled.astype(np.float32)


def located(path: object) -> Path:
    """Returns where `data.path` is, `~` expanded.

    Raises:
        UserError: There is nothing, or it can't be looked at.
    """
    if not isinstance(path, str) or not path:
        raise UserError(f"data.path={path}: expected the path of a file or folder.")
    place = Path(os.path.expanduser(path))  # noqa: PTH111  never raises
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"data.path={path}: there is no such file or folder. A relative path starts at the "
            f"working directory, {Path.cwd()}."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"data.path={path} can't be read: {error}") from error
    return place


def read_npz(file: Path, choose: Choose) -> dict[str, NDArray[Any]]:
    """Reads arrays of an `.npz`; pickled objects are refused.

    Raises:
        UserError: The file is none, is damaged, or does not fit in memory.
    """
    try:
        with file.open("rb") as stream, NpzFile(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in choose(archive.files)}
    except UNREADABLE as error:
        raise UserError(f"data.path: {file} can't be read as an .npz of arrays: {error}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a member that is no .npy comes as bytes
            raise UserError(f"data.path: {file} can't be read: {name} is no array.")
    return arrays


def read_npy_folder(folder: Path, choose: Choose, *, is_mapped: bool) -> dict[str, NDArray[Any]]:
    """Reads arrays of a folder, each from a `.npy` of its name; pickled objects are refused.

    Args:
        folder: Where the files are.
        choose: Which to read.
        is_mapped: Whether those of inputs (`x…`) stay on disk, mapped into memory.

    Raises:
        UserError: A file is no array, is damaged, or does not fit in memory.
    """
    arrays = {}
    for name in choose(sorted(file.stem for file in folder.glob("*.npy"))):
        file = folder / f"{name}.npy"
        mode: Any = "r" if is_mapped and name.startswith("x") else None
        try:
            arrays[name] = np.load(file, mmap_mode=mode, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"data.path: {file} can't be read as an array: {error}") from error
        if not isinstance(arrays[name], np.ndarray):
            raise UserError(f"data.path: {file} can't be read as an array: it is an .npz.")
    return arrays
