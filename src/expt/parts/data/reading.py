"""Helpers shared by the sources that read the user's own files: paths, arrays, error messages."""

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

_LARGEST_EXPONENT = 32  # weights between 2^-32 and 2^32 are used unscaled

Choose = Callable[[Sequence[str]], Sequence[str]]
"""A function from the names of all arrays to those to read; it may raise UserError."""

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
"""The exceptions that NumPy raises for damaged files of arrays."""


def check_choice(key: str, value: object, choices: Sequence[object]) -> None:
    """Checks an option that has a fixed set of values.

    Raises:
        UserError: If the value is not in the set.
    """
    # Python does not enforce a dataclass's Literal annotations, so a typo would go unnoticed.
    if value not in choices:
        expected = ", ".join("null" if choice is None else str(choice) for choice in choices)
        raise UserError(f"data.{key}={value}: expected one of {expected}.")


@contextmanager
def error_context(place: str = "", advice: str = "") -> Iterator[None]:
    """Adds a prefix and advice to the message of a `UserError` that is raised inside the block.

    Args:
        place: The prefix, such as `data.path=FILE: `.
        advice: A sentence that is appended, with a leading space.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}{error}{advice}") from error


def to_weights(values: NDArray[Any]) -> NDArray[np.float32]:
    """Returns weights of examples as float32.

    Only the ratios of weights matter. Weights that float32 could not hold, or whose sum it could
    not hold, are divided by a power of two.
    """
    # Dividing by a power of two is exact: the ratios stay the same, bit for bit.
    exact = values.astype(np.float64)
    exponent = int(np.frexp(exact.max(initial=0.0))[1])
    scaled = np.ldexp(exact, -exponent) if abs(exponent) > _LARGEST_EXPONENT else exact
    return scaled.astype(np.float32)


def find_path(path: object) -> Path:
    """Returns `data.path` as a path, `~` expanded.

    Raises:
        UserError: If there is no such file or folder, or it is not accessible.
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

    Args:
        file: The archive.
        choose: Selects the arrays to read.

    Raises:
        UserError: If the file is not an `.npz`, is damaged, or does not fit in memory.
    """
    # Not numpy.load, which leaves the file open when its content is damaged.
    try:
        with file.open("rb") as stream, NpzFile(stream, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in choose(archive.files)}
    except UNREADABLE as error:
        raise UserError(f"data.path: {file} can't be read as an .npz of arrays: {error}") from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy returns other members of the zip as bytes
            raise UserError(f"data.path: {file} can't be read: {name} is not an array.")
    return arrays


def read_npy_folder(folder: Path, choose: Choose, *, is_mapped: bool) -> dict[str, NDArray[Any]]:
    """Reads arrays of a folder, each from the file NAME.npy; pickled objects are refused.

    Args:
        folder: The folder of the files.
        choose: Selects the arrays to read.
        is_mapped: Whether arrays of inputs (`x…`) are memory-mapped instead of read.

    Raises:
        UserError: If a file is not an array, is damaged, or does not fit in memory.
    """
    arrays = {}
    for name in choose(sorted(file.stem for file in folder.glob("*.npy"))):
        file = folder / f"{name}.npy"
        # Targets and weights are always read: they are small, and checked as a whole.
        mode: Any = "r" if is_mapped and name.startswith("x") else None
        try:
            arrays[name] = np.load(file, mmap_mode=mode, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"data.path: {file} can't be read as an array: {error}") from error
        if not isinstance(arrays[name], np.ndarray):
            raise UserError(f"data.path: {file} can't be read as an array: it is an .npz.")
    return arrays
