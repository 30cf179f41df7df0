"""Checkpoint files: written atomically on a background thread, and verified when read.

A checkpoint is an npz file of plain arrays, one of which holds JSON text; reading it runs no code.
The file name contains the step and the first digits of the SHA-256 of the file, so that a damaged
file is recognized without any other record.
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
# Runs of a thousand steps per second may ask for more checkpoints than a disk can store.
_SECONDS_BETWEEN_WRITES = 1.0


class DamagedError(Exception):
    """A checkpoint file is cut off, changed, or does not match its name."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    Attributes:
        step: The number of finished steps.
        best_step: The step of the best evaluation so far; None before the first.
        arrays: The variables and the best weights, by name.
        facts: The other parts of the state, as JSON values.
    """

    step: int
    best_step: int | None
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]


class CheckpointWriter:
    """Writes checkpoints on a background thread, so that training does not wait for the disk.

    The thread writes at most once a second. Of the checkpoints passed to `write` in between, only
    the newest and the best are written. Copying a state takes time too, so callers should ask
    `is_due` before they copy one. A crash at any time leaves the last complete file intact.
    """

    def __init__(self, folder: Path, keep: int, prepare: Callable[[], None]) -> None:
        """Starts the thread.

        Args:
            folder: The folder of the files; created with the first file.
            keep: The number of newest files to keep, in addition to that of the best step.
            prepare: Called before a checkpoint file gets its final name, to flush everything to
                the disk that must not be older than the checkpoint.
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
        """Returns whether `write` would write at once, or would raise an earlier failure."""
        with self._changed:
            is_ready = self._is_idle() and time.monotonic() >= self._next_write
            return is_ready or self._failure is not None

    def write(self, checkpoint: Checkpoint) -> None:
        """Queues a checkpoint; drops those that are still waiting, except that of the best step.

        Args:
            checkpoint: The checkpoint; its arrays must not be changed afterwards.

        Raises:
            RunError: An earlier checkpoint could not be written.
        """
        with self._changed:
            # The best one is kept even if a newer one follows at once, because its file outlives
            # the `keep` newest ones.
            best = [old for old in self._waiting if old.step == checkpoint.best_step]
            self._waiting = [*best, checkpoint]
            self._changed.notify_all()
            self._raise_failure()

    def flush(self) -> None:
        """Writes all waiting checkpoints at once, and returns when they are on the disk.

        Raises:
            RunError: A checkpoint could not be written.
        """
        with self._changed:
            self._at_once = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_idle() or self._failure is not None)
            self._raise_failure()

    def close(self) -> None:
        """Writes all waiting checkpoints and ends the thread. Raises no errors."""
        # It is called while another exception may be on its way, which must not be replaced.
        # `write` and `flush` have raised the failures that the caller did not know yet.
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
                "checkpoints before it are intact.\nFree some disk space.\n"
                f"To continue: python -m expt.resume {self._folder.parent}"
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
            # Any exception, which `_raise_failure` raises on the training thread; a thread that
            # died silently would leave `flush` waiting forever.
            except Exception as error:  # noqa: BLE001
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
        steps = {step_of(file) for file in written}
        files = []
        for file in checkpoint_files(self._folder):
            # A step that is saved again, as after a resume, gets a file of another name.
            if step_of(file) in steps and file not in written:
                file.unlink()
            else:
                files.append(file)
        for file in files[self._keep :]:
            if step_of(file) != best_step:
                file.unlink()


def write_checkpoint(folder: Path, checkpoint: Checkpoint, prepare: Callable[[], None]) -> Path:
    """Writes a checkpoint file; it is on the disk, under its final name, when this returns.

    Args:
        folder: The folder of the file; created if it is missing.
        checkpoint: The checkpoint to write.
        prepare: Called before the file gets its final name.

    Returns:
        The path of the file.

    Raises:
        OSError: The file can't be written, for example because the disk is full.
    """
    folder.mkdir(exist_ok=True)
    facts = {**checkpoint.facts, "step": checkpoint.step, "best_step": checkpoint.best_step}
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    partial = folder / _PARTIAL
    with partial.open("w+b") as file:
        np.savez(file, allow_pickle=False, **{_FACTS: text}, **checkpoint.arrays)
        # Before the rename, or a power cut could leave an empty file under the final name.
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
    """Yields the checkpoint files of a folder, the newest first; their contents are not checked."""
    found = (file for file in folder.glob("step_*.npz") if _NAME.fullmatch(file.name))
    files = [file for file in found if file.is_file()]
    yield from sorted(files, key=step_of, reverse=True)


def step_of(file: Path) -> int:
    """Returns the step in the name of a checkpoint file."""
    match = _NAME.fullmatch(file.name)
    assert match is not None
    return int(match["step"])


def read_checkpoint(file: Path) -> Checkpoint:
    """Reads a checkpoint file, without running any code from it.

    Raises:
        DamagedError: The file is cut off or changed, or is not a checkpoint.
    """
    match = _NAME.fullmatch(file.name)
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if match is None or not digest.startswith(match["digest"]):
            raise DamagedError("its checksum does not match its name")
        # Pickles can run any code when they are loaded.
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        facts = json.loads(arrays.pop(_FACTS).tobytes())
        if facts["step"] != step_of(file):
            raise DamagedError(f"its name does not match its step, {facts['step']}")
        return Checkpoint(step_of(file), facts["best_step"], arrays, facts)
    except DamagedError:
        raise
    # A file made on purpose can hold anything under a checksum that matches.
    except Exception as error:
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def newest_checkpoint(folder: Path, last_step: int) -> Checkpoint | None:
    """Reads the newest intact checkpoint; returns None if there is none.

    Checkpoints that are damaged, or newer than the last line of the journal, are skipped with a
    warning. Their files are not removed.

    Args:
        folder: The folder of checkpoints.
        last_step: The last step in the journal.
    """
    for file in checkpoint_files(folder):
        try:
            checkpoint = read_checkpoint(file)
        except DamagedError as error:
            _log.warning("%s is damaged: %s. Using the checkpoint before it.", file, error)
            continue
        # A run that continued from a later step would have a gap in its journal.
        if checkpoint.step <= last_step:
            return checkpoint
        _log.warning(
            "%s is newer than the journal, which ends at step %d. Using the checkpoint before it.",
            *(file, last_step),
        )
    return None
