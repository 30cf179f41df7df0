"""Atomic replacement of files: a reader sees either the old or the new content, never a part."""

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
        UserError: The file can't be read, or does not contain JSON.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} can't be read: {error}") from error


def write_json(file: Path, content: Any, *, indent: int | None = 2) -> None:
    """Replaces a file by JSON; values that JSON does not support are written as strings.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """
    write_text(file, json.dumps(content, indent=indent, default=str) + "\n")


def write_text(file: Path, text: str) -> None:
    """Replaces the content of a file by a text.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A context manager for replacing a file: yields a temporary path in the same folder.

    The caller writes to that path. At the end of the block its file replaces the original, or is
    removed if there was an error. File and folder are synchronized with the disk, so that a power
    failure leaves either the old or the new file. The temporary name keeps the file's extension,
    from which libraries such as Keras derive the format.

    Args:
        file: The file to replace.

    Raises:
        OSError: The disk is full, or the folder can't be written to.
    """
    partial = file.with_name(f"partial-{file.name}")
    try:
        yield partial
        synchronize(partial)
        partial.replace(file)  # atomic only within a file system, hence the same folder
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not all systems can open a folder
        synchronize(file.parent)


def synchronize(path: Path) -> None:
    """Waits until the content of a file, or the list of names in a folder, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
