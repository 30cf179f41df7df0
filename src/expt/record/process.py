"""A child process that reads the files of runs while they are written.

Slow recording, such as MLflow's, runs in this process, so that it does not slow down training.
"""

import logging
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from expt.record.recorder import Record
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
_SECONDS_TO_START = 60.0
_SECONDS_WITHOUT_ANSWER = 5.0
_SECONDS_WHEN_FAILING = 3.0  # to wait for a stopped run whose last report was a warning
_NICENESS = 5  # training comes first


class Listener(Protocol):
    """The receiver of a follower's reports."""

    def extend_deadline(self, seconds: float) -> None:
        """Announces an operation that takes at most `seconds` unless it hangs."""

    def log(self, level: int, text: str) -> None:
        """Logs a message at one of `logging`'s levels."""


class Follower(Protocol):
    """The part that runs in the child process and reads the files of one run."""

    def open(self, run: Run) -> None:
        """Starts to follow a run; must return quickly."""

    def advance(self) -> None:
        """Records new content of the run's files.

        Reports failures to the listener; never raises.
        """

    def close(self, record: RunRecord) -> str | None:
        """Records the rest of an ended run.

        Args:
            record: The final content of its run.json.

        Returns:
            None, or the reason why the run's mirror is incomplete.
        """


MakeFollower = Callable[[Listener], Follower]


class ProcessRecorder:
    """A recorder that works in a child process, from the files that the run writes.

    The child starts with this object, so that its imports overlap with other work, and serves any
    number of runs. Only `close` waits for the child, for as long as it keeps reporting progress. A
    child that stops reporting is killed, and the next run gets a new one. If a run is stopped
    while its last report was a warning, `close` waits a few seconds and then kills the child.
    Killing is safe: the child holds no data that the run's files lack.

    Args:
        make_follower: Makes the follower of a run, in the child; must be picklable by name.
        name: The recorder's name in messages.
        remedy: Takes a run and why its mirror is incomplete; returns advice on how to complete it.
        prepare: Called once in the child as it starts; must be picklable by name.
    """

    limits_closing = True
    """`BackgroundRecorder` waits for `close` without a timeout, since `close` has its own."""

    def __init__(
        self,
        make_follower: MakeFollower,
        name: str,
        remedy: Callable[[Run, str], str],
        prepare: Callable[[], object],
    ) -> None:
        self._make_follower, self._remedy = make_follower, remedy
        self._name, self._prepare = name, prepare
        self._child = FollowerProcess(name, prepare)

    def open(self, run: Run) -> None:
        """Asks the child to follow the run; this process writes what the child adds to run.json."""
        if self._child.has_ended:
            self._child = FollowerProcess(self._name, self._prepare)
        self._run = run
        self._child.follow(run, self._make_follower)

    def write(self, record: Record) -> None:
        """Does nothing: the child reads the record from the run's files."""

    def close(self, status: Status) -> None:
        """Waits until the child has recorded the rest of the run; warns if it could not."""
        self._child.end(self._run)
        # Ctrl-C asks for a quick end, so a store that already fails is not retried at length.
        is_hopeless = status is Status.KILLED and self._child.is_failing(self._run)
        longest = _SECONDS_WHEN_FAILING if is_hopeless else inf
        failure = self._child.wait(self._run, longest)
        if failure is not None:
            remedy = self._remedy(self._run, failure)
            _log.warning("%s: incomplete: %s. %s", self._name, failure, remedy)

    def stop(self) -> None:
        """Ends the child process."""
        self._child.stop()


@dataclass
class _FollowedRun:
    """A run that the child follows, with the state of its recording."""

    run: Run
    is_ending: bool = False
    is_failing: bool = False
    is_done: threading.Event = field(default_factory=threading.Event)
    failure: str | None = None


class FollowerProcess:
    """A child process that follows any number of runs, and the pipes to it.

    Args:
        name: The name of the process in messages.
        prepare: Called once in the child as it starts; must be picklable by name.
        niceness: Added to the child's niceness; a higher value lowers its priority.
    """

    def __init__(self, name: str, prepare: Callable[[], object], niceness: int = _NICENESS) -> None:
        self._name = name
        self._followed: dict[str, _FollowedRun] = {}
        self._deadline = time.monotonic() + _SECONDS_TO_START
        # A new interpreter: forking is not safe once TensorFlow runs threads in this process.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expt.record.process_main", str(niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._listen, name=f"{name} listener", daemon=True)
        self._thread.start()
        self._send(prepare)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended, so that the next run needs another one."""
        return not self._thread.is_alive()

    @property
    def is_stuck(self) -> bool:
        """Whether an ended run is not complete and the process has missed its deadline."""
        is_waited_for = any(
            followed.is_ending and not followed.is_done.is_set()
            for followed in list(self._followed.values())
        )
        return is_waited_for and time.monotonic() > self._deadline

    def follow(self, run: Run, make_follower: MakeFollower) -> None:
        """Asks the process to follow a run, with the follower that `make_follower` returns."""
        key = str(run.directory)
        self._followed[key] = _FollowedRun(run)
        contents = (run.directory, run.output_dir, run.config, run.params, run.record)
        self._send(("open", key, (make_follower, (*contents, run.is_resumed, run.recorded))))
        if self.has_ended:  # the listener no longer marks new runs as failed
            self._fail_unfinished()

    def end(self, run: Run) -> None:
        """Asks the process to record the rest of a run; `run.record` has its final status."""
        self._followed[str(run.directory)].is_ending = True
        self._deadline = max(self._deadline, time.monotonic() + _SECONDS_WITHOUT_ANSWER)
        self._send(("close", str(run.directory), run.record))

    def is_failing(self, run: Run) -> bool:
        """Whether the last report on a run was a warning, so that it can't be recorded for now."""
        return self._followed[str(run.directory)].is_failing

    def is_done(self, run: Run) -> bool:
        """Whether an ended run is completely recorded, or has failed to be."""
        return self._followed[str(run.directory)].is_done.is_set()

    def wait(self, run: Run, longest: float) -> str | None:
        """Waits until an ended run is recorded; kills the process if it misses its deadline.

        Args:
            run: A run for which `end` was called.
            longest: How many seconds to wait at most, even if the process reports progress.

        Returns:
            None if all of the run is recorded, else the reason why it is not.
        """
        followed = self._followed[str(run.directory)]
        begun = time.monotonic()
        self._deadline = max(self._deadline, begun + _SECONDS_WITHOUT_ANSWER)
        # The listener may move the deadline meanwhile, so it is read again after every wait.
        while (seconds := min(self._deadline, begun + longest) - time.monotonic()) > 0:
            if followed.is_done.wait(seconds):
                return followed.failure
        self.kill()
        return f"no answer from the {self._name} process"

    def kill(self) -> None:
        """Kills the process; runs that it has not completed are marked as failed."""
        self._process.kill()
        self._thread.join()  # a late report must not be mistaken for one about the next run

    def stop(self) -> None:
        """Ends the process by closing its input, and waits for that."""
        self._close_stdin()
        self._thread.join()

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # closing flushes, which fails if the child is dead
            self._process.stdin.close()

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        # The pipe is broken or closed if the child has ended; `_listen` notices and handles that.
        with suppress(OSError, ValueError):
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _listen(self) -> None:
        reports = self._process.stdout
        assert reports is not None
        with reports:
            while True:
                try:
                    kind, key, value = pickle.load(reports)  # noqa: S301  from our own child
                except (EOFError, pickle.UnpicklingError):
                    break
                if kind == "deadline":
                    self._deadline = time.monotonic() + value
                elif kind == "log":
                    level, text = value
                    self._followed[key].is_failing = level >= logging.WARNING
                    _log.log(level, "%s: %s", self._name, text)
                elif kind == "update":
                    self._update(self._followed[key].run, value)
                else:
                    self._followed[key].failure = value
                    self._followed[key].is_done.set()
        self._process.wait()
        self._close_stdin()
        self._fail_unfinished()

    def _fail_unfinished(self) -> None:
        for followed in list(self._followed.values()):
            if not followed.is_done.is_set():
                followed.failure = f"the {self._name} process has ended"
                followed.is_done.set()

    def _update(self, run: Run, values: dict[str, Any]) -> None:
        try:
            run.update(**values)
        except OSError as error:  # a full disk; the next update writes these values too
            _log.info("%s: run.json can't be written: %s", self._name, error)
