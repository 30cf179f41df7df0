"""Following runs' files from a process of its own: it takes no time from those that train."""

import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from typing import IO, Any, Protocol

from expt.record.recorder import Record
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status
from expt.runs.secrets import install_log_redaction

_log = logging.getLogger(__name__)
_SECONDS_TO_START = 60.0
_SECONDS_WITHOUT_A_SIGN = 5.0
_SECONDS_WHEN_FAILING = 3.0  # of a run that was stopped
_SECONDS_BETWEEN_LOOKS = 1.0
_NICENESS = 5  # training comes first


class Listener(Protocol):
    """Whoever is told how following goes."""

    def busy(self, seconds: float) -> None:
        """Something begins that takes at most so long if all is well."""

    def tell(self, level: int, text: str) -> None:
        """Something for the log, at one of `logging`'s levels."""


class Follower(Protocol):
    """What lives in the child: it follows the files of one run after another."""

    def open(self, run: Run) -> None:
        """Begins to follow a run; quick."""

    def advance(self) -> None:
        """Takes what is new; told of every failure, it raises none."""

    def close(self, record: RunRecord) -> str | None:
        """Takes the rest of a run whose run.json now holds `record`; says why if it can't."""


MakeFollower = Callable[[Listener], Follower]


class SeparateProcess:
    """A recorder whose follower lives in a child process and reads what the run writes down.

    The child starts at once, so that its imports happen while this process does other things, and
    serves any number of runs. Nothing waits for it but `close`, which does as long as the child
    shows signs of life; a child that shows none is killed, and the next run gets a new one. So is
    one that has reported a failure by the time its run is stopped, after a few seconds. The child
    keeps nothing that the run's files don't have.

    Args:
        make_follower: Makes the follower of a run, in the child; pickle must find it by name.
        name: What the user is told the recorder is called.
        remedy: Returns how the user completes a run that was not recorded to its end, from the
            run and what failed.
        prepare: Is called in the child at once; pickle must find it by name.
    """

    limits_closing = True
    """Whoever closes this recorder can wait until that is done: it takes no longer than it must."""

    def __init__(
        self,
        make_follower: MakeFollower,
        name: str,
        remedy: Callable[[Run, str], str],
        prepare: Callable[[], object],
    ) -> None:
        self._make_follower, self._remedy = make_follower, remedy
        self._name, self._prepare = name, prepare
        self._child = FollowingProcess(name, prepare)

    def open(self, run: Run) -> None:
        """Lets the child follow the run; what it adds to run.json is added here."""
        if self._child.has_ended:
            self._child = FollowingProcess(self._name, self._prepare)
        self._run = run
        self._child.follow(run, self._make_follower)

    def write(self, record: Record) -> None:
        """Nothing: the child reads it from the run's files."""

    def close(self, status: Status) -> None:
        """Waits until the child has taken the rest, or for a few seconds if it can't."""
        self._child.end(self._run)
        is_hopeless = status is Status.KILLED and self._child.is_failing(self._run)
        longest = _SECONDS_WHEN_FAILING if is_hopeless else inf
        failure = self._child.wait(self._run, longest)
        if failure is not None:
            remedy = self._remedy(self._run, failure)
            _log.warning("%s: incomplete: %s. %s", self._name, failure, remedy)

    def stop(self) -> None:
        """Ends the child."""
        self._child.stop()


@dataclass
class _Followed:
    """A run that a child follows, and how that ended."""

    run: Run
    is_ending: bool = False
    is_failing: bool = False
    is_done: threading.Event = field(default_factory=threading.Event)
    failure: str | None = None


class FollowingProcess:
    """A child process that follows any number of runs: the pipes to it, and what it tells.

    Args:
        name: What the user is told it is called.
        prepare: Is called in the child at once; pickle must find it by name.
        niceness: How far it stands back for others.
    """

    def __init__(self, name: str, prepare: Callable[[], object], niceness: int = _NICENESS) -> None:
        self._name = name
        self._followed: dict[str, _Followed] = {}
        self._deadline = time.monotonic() + _SECONDS_TO_START
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expt.record.process", str(niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._listen, name=f"{name} listener", daemon=True)
        self._thread.start()
        self._send(prepare)

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, so that another one must follow the next run."""
        return not self._thread.is_alive()

    @property
    def is_stuck(self) -> bool:
        """Whether an ended run waits for it, and it has shown no sign of life for too long."""
        is_waited_for = any(
            followed.is_ending and not followed.is_done.is_set()
            for followed in list(self._followed.values())
        )
        return is_waited_for and time.monotonic() > self._deadline

    def follow(self, run: Run, make_follower: MakeFollower) -> None:
        """Lets it follow a run, with what `make_follower` makes there."""
        key = str(run.directory)
        self._followed[key] = _Followed(run)
        contents = (run.directory, run.output_dir, run.config, run.params, run.record)
        self._send(("open", key, (make_follower, (*contents, run.is_resumed, run.recorded))))
        if self.has_ended:
            self._fail_others()

    def end(self, run: Run) -> None:
        """Lets it take the rest of a run whose record tells now how it ended."""
        self._followed[str(run.directory)].is_ending = True
        self._deadline = max(self._deadline, time.monotonic() + _SECONDS_WITHOUT_A_SIGN)
        self._send(("close", str(run.directory), run.record))

    def is_failing(self, run: Run) -> bool:
        """Whether the last report on a run was a warning: what follows it does not succeed now."""
        return self._followed[str(run.directory)].is_failing

    def is_done(self, run: Run) -> bool:
        """Whether all of an ended run is recorded, or it is known why it is not."""
        return self._followed[str(run.directory)].is_done.is_set()

    def wait(self, run: Run, longest: float) -> str | None:
        """Returns None once all of an ended run is recorded, or why it is not."""
        followed = self._followed[str(run.directory)]
        begun = time.monotonic()
        self._deadline = max(self._deadline, begun + _SECONDS_WITHOUT_A_SIGN)
        while (seconds := min(self._deadline, begun + longest) - time.monotonic()) > 0:
            if followed.is_done.wait(seconds):
                return followed.failure
        self.kill()
        return "no answer within some seconds"

    def kill(self) -> None:
        """Ends it at once; what it has not recorded is known then."""
        self._process.kill()
        self._thread.join()  # no word of it may reach the next run

    def stop(self) -> None:
        """Ends it."""
        self._hang_up()
        self._thread.join()

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # of what a dead child has not read
            self._process.stdin.close()

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it has ended; the listener knows
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _listen(self) -> None:
        answers = self._process.stdout
        assert answers is not None
        with answers:
            while True:
                try:
                    kind, key, value = pickle.load(answers)  # noqa: S301  from our own child
                except (EOFError, pickle.UnpicklingError):
                    break
                if kind == "busy":
                    self._deadline = time.monotonic() + value
                elif kind == "tell":
                    level, text = value
                    self._followed[key].is_failing = level >= logging.WARNING
                    _log.log(level, "%s: %s", self._name, text)
                elif kind == "update":
                    self._update(self._followed[key].run, value)
                else:
                    self._followed[key].failure = value
                    self._followed[key].is_done.set()
        self._process.wait()
        self._hang_up()
        self._fail_others()

    def _fail_others(self) -> None:
        for followed in list(self._followed.values()):
            if not followed.is_done.is_set():
                followed.failure = "its process has ended"
                followed.is_done.set()

    def _update(self, run: Run, values: dict[str, Any]) -> None:
        try:
            run.update(**values)
        except OSError as error:  # a full disk; the next update writes these, too
            _log.info("%s: run.json can't be written: %s", self._name, error)


class _ForwardedRun(Run):
    """A run whose run.json is kept by the parent."""

    def update(self, **values: Any) -> None:
        self.record = self.record.updated(values)
        _answer("update", str(self.directory), values)


class _Parent:
    """The listener that a follower in the child knows."""

    def __init__(self, key: str) -> None:
        self._key = key

    def busy(self, seconds: float) -> None:
        _answer("busy", self._key, seconds)

    def tell(self, level: int, text: str) -> None:
        _answer("tell", self._key, (level, text))


def _serve(niceness: int) -> None:
    """Follows runs until the parent closes the pipe or is gone."""
    # A Ctrl-C reaches the whole group; it is for the parent, which then closes the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    install_log_redaction()
    os.nice(niceness)
    calls: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_receive, args=(calls,), daemon=True).start()
    calls.get()()
    followers: dict[str, Follower] = {}
    while True:
        try:
            method, key, argument = calls.get(timeout=_SECONDS_BETWEEN_LOOKS if followers else None)
        except queue.Empty:
            for follower in followers.values():
                follower.advance()
            continue
        if method == "open":
            make_follower, contents = argument
            follower = followers[key] = make_follower(_Parent(key))
            follower.open(_ForwardedRun(*contents))
            follower.advance()
        else:
            _answer("done", key, followers.pop(key).close(argument))


def _receive(calls: "queue.Queue[Any]") -> None:
    """Takes the parent's calls on a thread of its own; without a parent nothing is worth doing."""
    try:
        while True:
            calls.put(pickle.load(sys.stdin.buffer))  # noqa: S301  from our own parent
    finally:
        os._exit(0)


_answers: IO[bytes]


def _answer(kind: str, key: str, value: Any) -> None:
    try:
        pickle.dump((kind, key, value), _answers)
        _answers.flush()
    except BrokenPipeError:
        os._exit(0)  # the parent is gone, and nothing more is worth doing


if __name__ == "__main__":
    # What libraries print must not get among the answers.
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(int(sys.argv[1]))
