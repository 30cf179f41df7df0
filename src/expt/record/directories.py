"""Directories of runs: one for each, never shared."""

import shutil
import time
from itertools import count
from pathlib import Path

from expt.errors import UserError


def allocate(parent: Path, short_hash: str) -> Path:
    """Makes and returns `PARENT/DATE/TIME_HASH`, which did not exist before.

    Whoever comes second in the same second gets `TIME_HASH-2`.

    Raises:
        UserError: The directory can't be made.
    """
    now = time.localtime()
    day = parent / time.strftime("%Y-%m-%d", now)
    try:
        day.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output_dir: {error}") from error
    name = f"{time.strftime('%H-%M-%S', now)}_{short_hash}"
    for number in count(1):
        directory = day / (name if number == 1 else f"{name}-{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError


def discard(directory: Path, root: Path) -> None:
    """Removes a directory that `allocate` made, and the folders above it that are then empty.

    Args:
        directory: What to remove, with all that is in it.
        root: The last folder that may be removed if it is empty.
    """
    shutil.rmtree(directory, ignore_errors=True)
    for parent in directory.parents:
        if not parent.is_relative_to(root) or any(parent.iterdir()):
            return
        parent.rmdir()
