"""Directories of runs and sweeps: unique names, and locks against other processes."""

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
    """A run, or the sweep that it belongs to, is locked by another process."""


@contextmanager
def locked(directory: Path, *, by_its_sweep: bool = False) -> Iterator[None]:
    """A context manager that locks a run or a sweep against other processes.

    Locking a job's run also locks its sweep, since a sweep still mirrors its runs to MLflow after
    they have ended. The locks belong to the process: they are released even if it is killed.

    Args:
        directory: Directory of the run or the sweep.
        by_its_sweep: Whether the caller is the sweep that the run belongs to, and has locked it.

    Raises:
        LockedError: Another process has locked the run or the sweep.
    """
    sweep = directory.parent
    in_a_sweep = (sweep / SWEEP_FILE).is_file() and not by_its_sweep
    with ExitStack() as locks:
        # Always in this order, with no waiting: two processes can't block each other.
        for place in [sweep, directory] if in_a_sweep else [directory]:
            try:
                locks.enter_context(FileLock(place / _LOCK, timeout=0))
            except Timeout as error:
                what = "sweep" if (place / SWEEP_FILE).is_file() else "run"
                raise LockedError(f"{place}: this {what} is locked by another process.") from error
        yield


def create_directory(parent: Path, short_hash: str) -> Path:
    """Creates a new directory `PARENT/DATE/TIME_HASH`.

    Date and time are in UTC, marked by a Z after the time, so that names sort by time in all time
    zones. A second directory in the same second is named `TIME_HASH-2`.

    Args:
        parent: The folder to create it in.
        short_hash: The end of the name.

    Returns:
        The path of the directory.

    Raises:
        UserError: The directory can't be created.
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
        # Creating is atomic; checking first would let two processes take the same directory.
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        return directory
    raise AssertionError


def remove_directory(directory: Path, root: Path) -> None:
    """Removes a directory made by `create_directory`, and the parent folders that become empty.

    Args:
        directory: The directory, which is removed with its contents.
        root: The topmost folder that may be removed.
    """
    # Errors are ignored: this cleans up after another error, which is the one to report.
    shutil.rmtree(directory, ignore_errors=True)
    for parent in directory.parents:
        if not parent.is_relative_to(root) or any(parent.iterdir()):
            return
        parent.rmdir()
