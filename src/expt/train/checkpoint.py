"""Checkpoint files: written atomically on a thread of their own, and checked when read.

A file is an npz of plain arrays, one of them a JSON text; reading one runs no code. Its name holds
the step and the beginning of the SHA-256 of its bytes, so that it can tell by itself whether it is
whole.
"""

import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError
from expt.runs.atomic import synchronize

_log = logging.getLogger(__name__)

_NAME = re.compile(r"step_(?P<step>\d{7,})_(?P<digest>[0-9a-f]{16})\.npz")
_PARTIAL = "partial-checkpoint.npz"
_FACTS = "facts.json"
_SECONDS_BETWEEN_WRITES = 1.0


class DamagedError(Exception):
    """A file is not the checkpoint that its name says."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    Attributes:
        step: The step.
        best_step: That of the best evaluation so far; None before the first.
        arrays: By name.
        facts: Plain values, as JSON holds them.
    """

    step: int
    best_step: int | None
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


class CheckpointWriter:
    """Writes checkpoints on a thread of its own, so that training does not wait for the disk.

    It writes at most once a second, and then the newest and the best one of those that it was
    given: runs of a thousand steps a second may ask for more than a disk takes. Copying a state
    costs such a run time, too, so `is_due` tells when to. A crash at any instant leaves the last
    complete file.
    """

    def __init__(self, folder: Path, keep: int, prepare: Callable[[], None]) -> None:
        """Starts the thread.

        Args:
            folder: Where the files go; it is made with the first.
            keep: How many of the newest stay; that of the best step stays besides.
            prepare: Is called before a checkpoint gets its name, to bring to the disk what must be
                there by then.
        """
        self._folder, self._keep, self._prepare = folder, keep, prepare
        self._changed = threading.Condition()
        self._waiting: list[Checkpoint] = []
        self._at_once = self._is_ending = self._is_writing = False
        self._failure: Exception | None = None
        self._next_write = 0.0
        # A daemon, so that a second Ctrl-C can end the process at once.
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def is_due(self) -> bool:
        """Whether a checkpoint would be written at once, or `write` has a failure to tell."""
        with self._changed:
            is_ready = self._is_idle() and time.monotonic() >= self._next_write
            return is_ready or self._failure is not None

    def write(self, checkpoint: Checkpoint) -> None:
        """Takes a checkpoint to be written; those that still wait, but for the best, are dropped.

        Args:
            checkpoint: Its arrays must not be changed any more.

        Raises:
            RunError: One before could not be written.
        """
        with self._changed:
            best = [old for old in self._waiting if old.step == checkpoint.best_step]
            self._waiting = [*best, checkpoint]
            self._changed.notify_all()
            self._raise_failure()

    def flush(self) -> None:
        """Writes what waits now, and returns when it is on the disk.

        Raises:
            RunError: Something could not be written.
        """
        with self._changed:
            self._at_once = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_idle() or self._failure is not None)
            self._raise_failure()

    def close(self) -> None:
        """Writes what waits, and ends the thread. Raises nothing: `write` has told of failures."""
        with self._changed:
            self._is_ending = self._at_once = True
            self._changed.notify_all()
        self._thread.join()

    def _is_idle(self) -> bool:
        return not self._waiting and not self._is_writing

    def _raise_failure(self) -> None:
        if isinstance(self._failure, OSError):
            raise RunError(
                f"a checkpoint can't be written to {self._folder}: {self._failure.strerror}. The "
                "checkpoints before it are whole; make space, and python -m expt.resume "
                f"{self._folder.parent} goes on from there."
            ) from self._failure
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_ending)
                if not self._waiting:
                    return
                pause = self._next_write - time.monotonic()
                self._changed.wait_for(lambda: self._at_once, timeout=max(0.0, pause))
                taken, self._waiting = self._waiting, []
                self._is_writing, self._at_once = True, self._is_ending
            try:
                files = {write_checkpoint(self._folder, each, self._prepare) for each in taken}
                self._remove_old(files, taken[-1].best_step)
            except Exception as error:  # noqa: BLE001  raised where training waits for it
                self._failure = error
                (self._folder / _PARTIAL).unlink(missing_ok=True)
                _log.info("a checkpoint can't be written", exc_info=error)
            with self._changed:
                self._is_writing = False
                self._next_write = time.monotonic() + _SECONDS_BETWEEN_WRITES
                self._changed.notify_all()
                if self._failure is not None:
                    return

    def _remove_old(self, written: Set[Path], best_step: int | None) -> None:
        again = {step_of(file) for file in written}
        files = []
        for file in checkpoint_files(self._folder):
            if step_of(file) in again and file not in written:
                file.unlink()  # of a step that was saved once more
            else:
                files.append(file)
        for file in files[self._keep :]:
            if step_of(file) != best_step:
                file.unlink()


def write_checkpoint(folder: Path, checkpoint: Checkpoint, prepare: Callable[[], None]) -> Path:
    """Writes a checkpoint; it is on the disk, under its name, when this returns.

    Args:
        folder: Made if need be.
        checkpoint: What to write.
        prepare: Is called before the file gets its name.

    Raises:
        OSError: The disk is full, or else refuses.
    """
    folder.mkdir(exist_ok=True)
    facts = {**checkpoint.facts, "step": checkpoint.step, "best_step": checkpoint.best_step}
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    partial = folder / _PARTIAL
    with partial.open("w+b") as file:
        np.savez(file, allow_pickle=False, **{_FACTS: text}, **checkpoint.arrays)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    prepare()
    path = folder / f"step_{checkpoint.step:07d}_{digest}.npz"
    partial.replace(path)
    synchronize(folder)
    return path


def checkpoint_files(folder: Path) -> Iterator[Path]:
    """Yields the checkpoint files of a folder, the newest first, whole or not."""
    found = (file for file in folder.glob("step_*.npz") if _NAME.fullmatch(file.name))
    files = [file for file in found if file.is_file()]
    yield from sorted(files, key=step_of, reverse=True)


def step_of(file: Path) -> int:
    """Returns the step that a checkpoint file's name tells."""
    match = _NAME.fullmatch(file.name)
    assert match is not None
    return int(match["step"])


def read_checkpoint(file: Path) -> Checkpoint:
    """Reads a checkpoint file. No code in it is run.

    Raises:
        DamagedError: The file is cut off, changed, or something else.
    """
    match = _NAME.fullmatch(file.name)
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if match is None or not digest.startswith(match["digest"]):
            raise DamagedError("its checksum is another one")
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        facts = json.loads(arrays.pop(_FACTS).tobytes())
        if facts["step"] != step_of(file):
            raise DamagedError("its name tells of another step")
        return Checkpoint(step_of(file), facts["best_step"], arrays, facts)
    except DamagedError:
        raise
    # A file that someone else made can be anything, with a checksum that fits.
    except Exception as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def newest_checkpoint(folder: Path, last_step: int) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole; None if there is none.

    One that is damaged, or that builds on records that the journal lacks, is told by a warning and
    left where it is.

    Args:
        folder: The folder of checkpoints.
        last_step: The last step that the journal has.
    """
    for file in checkpoint_files(folder):
        try:
            checkpoint = read_checkpoint(file)
        except DamagedError as error:
            _log.warning("%s is damaged: %s. The checkpoint before it is used.", file, error)
            continue
        if checkpoint.step <= last_step:
            return checkpoint
        _log.warning("the journal lacks steps before %s. The checkpoint before it is used.", file)
    return None
