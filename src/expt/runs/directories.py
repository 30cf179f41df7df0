"""Directories of runs: one for each, never shared, held by whoever trains in it."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from expt.errors import UserError
from expt.runs.records import SWEEP_FILE

_LOCK = ".lock"


class LockedError(UserError):
    """Another process is at a run, or at the sweep that it is a job of."""


@contextmanager
def held(directory: Path, *, by_its_sweep: bool = False) -> Iterator[None]:
    """Keeps other processes from the same run or sweep.

    A sweep follows its jobs' runs for MLflow beyond their end, so that a run is free once its
    sweep is.

    Args:
        directory: Of the run or the sweep.
        by_its_sweep: Whether it is a run, and its sweep itself asks.

    Raises:
        LockedError: One is at it.
    """
    sweep = directory.parent
    in_a_sweep = (sweep / SWEEP_FILE).is_file() and not by_its_sweep
    with ExitStack() as locks:
        for place in [sweep, directory] if in_a_sweep else [directory]:
            try:
                locks.enter_context(FileLock(place / _LOCK, timeout=0))
            except Timeout as error:
                what = "sweep" if (place / SWEEP_FILE).is_file() else "run"
                raise LockedError(f"{place}: another process is training this {what}.") from error
        yield


def allocate(parent: Path, short_hash: str) -> Path:
    """Makes and returns `PARENT/DATE/TIME_HASH`, which did not exist before.

    Date and time are UTC, as the Z after the time says, so that names sort in every time zone.
    Whoever comes second in the same second gets `TIME_HASH-2`.

    Raises:
        UserError: The directory can't be made.
    """
    now = time.gmtime()
    day = parent / time.strftime("%Y-%m-%d", now)
    try:
        day.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"output_dir: {error}") from error
    name = f"{time.strftime('%H-%M-%SZ', now)}_{short_hash}"
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
