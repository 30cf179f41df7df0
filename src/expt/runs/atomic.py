"""Files that are read and replaced as a whole: whoever reads one sees all of it, or the old one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from expt.errors import UserError


def read_json(file: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: It can't be read, or is no JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} can't be read: {error}") from error


def write_json(file: Path, content: Any, *, indent: int | None = 2) -> None:
    """Replaces a file by JSON; values of other types are written as text.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """
    write_text(file, json.dumps(content, indent=indent, default=str) + "\n")


def write_text(file: Path, text: str) -> None:
    """Replaces a file by a text.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yields a path in the same folder whose file replaces another one, if there is no error.

    File and folder are synchronized with the disk, so that a power cut leaves one of the two. The
    new file's name ends like the old one's: libraries choose a format by it.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """
    partial = file.with_name(f"partial-{file.name}")
    try:
        yield partial
        synchronize(partial)
        partial.replace(file)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some systems can't open a folder
        synchronize(file.parent)


def synchronize(path: Path) -> None:
    """Waits until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
