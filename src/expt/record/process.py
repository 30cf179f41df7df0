"""Following a run's files from a process of its own: it takes no time from the one that trains."""

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
from math import inf
from typing import IO, Any, Protocol

from expt.record.recorder import Record
from expt.record.run import Run, Status
from expt.record.secrets import install_log_redaction

_log = logging.getLogger(__name__)
_SECONDS_TO_START = 60.0
_SECONDS_WITHOUT_A_SIGN = 5.0
_SECONDS_WHEN_KILLED = 3.0
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

    def close(self, record: dict[str, Any]) -> str | None:
        """Takes the rest of a run whose run.json now holds `record`; says why if it can't."""


class SeparateProcess:
    """A recorder whose follower lives in a child process and reads what the run writes down.

    The child starts at once, so that its imports happen while this process does other things, and
    serves any number of runs. Nothing waits for it but `close`, which does as long as the child
    shows signs of life; a child that shows none is killed, and the next run gets a new one. It
    keeps nothing that the run's files don't have.

    Args:
        make_follower: Makes the follower, in the child; pickle must find it by name.
        name: What the user is told the recorder is called.
        remedy: Returns how the user completes a run that was not recorded to its end.
    """

    def __init__(
        self, make_follower: Callable[[Listener], Follower], name: str, remedy: Callable[[Run], str]
    ) -> None:
        self._make_follower, self._name, self._remedy = make_follower, name, remedy
        self._child = _Child(make_follower, name)

    def open(self, run: Run) -> None:
        """Lets the child follow the run; what it adds to run.json is added here."""
        if self._child.has_ended:
            self._child = _Child(self._make_follower, self._name)
        self._run = run
        self._child.follow(run)

    def write(self, record: Record) -> None:
        """Nothing: the child reads it from the run's files."""

    def close(self, status: Status) -> None:
        """Waits until the child has taken the rest, or for a few seconds if it can't."""
        longest = _SECONDS_WHEN_KILLED if status is Status.KILLED else inf
        failure = self._child.finish(self._run, longest)
        if failure is not None:
            _log.warning("%s: incomplete: %s. %s", self._name, failure, self._remedy(self._run))

    def stop(self) -> None:
        """Ends the child."""
        self._child.stop()


class _Child:
    """The parent's end of the pipes, and a thread that takes what the child tells."""

    def __init__(self, make_follower: Callable[[Listener], Follower], name: str) -> None:
        self._name = name
        self._run: Run | None = None
        self._failure: str | None = None
        self._is_done = threading.Event()
        self._deadline = time.monotonic() + _SECONDS_TO_START
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expt.record.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._thread = threading.Thread(target=self._listen, name=f"{name} listener", daemon=True)
        self._thread.start()
        self._send(make_follower)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def follow(self, run: Run) -> None:
        self._run = run
        self._is_done.clear()
        contents = (run.directory, run.output_dir, run.config, run.params, run.record)
        self._send(("open", (*contents, run.is_resumed, run.recorded)))

    def finish(self, run: Run, longest: float) -> str | None:
        """Returns None once all is recorded, or why it is not."""
        begun = time.monotonic()
        self._deadline = max(self._deadline, begun + _SECONDS_WITHOUT_A_SIGN)
        self._send(("close", run.record))
        while (seconds := min(self._deadline, begun + longest) - time.monotonic()) > 0:
            if self._is_done.wait(seconds):
                return self._failure
        self._process.kill()
        self._thread.join()  # no word of it may reach the next run
        return "no answer within some seconds"

    def stop(self) -> None:
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
                    kind, value = pickle.load(answers)  # noqa: S301  from our own child
                except (EOFError, pickle.UnpicklingError):
                    break
                if kind == "busy":
                    self._deadline = time.monotonic() + value
                elif kind == "tell":
                    level, text = value
                    _log.log(level, "%s: %s", self._name, text)
                elif kind == "update":
                    self._update(value)
                else:
                    self._failure = value
                    self._is_done.set()
        self._process.wait()
        self._hang_up()
        if not self._is_done.is_set():
            self._failure = "its process has ended"
            self._is_done.set()

    def _update(self, values: dict[str, Any]) -> None:
        assert self._run is not None
        try:
            self._run.update(**values)
        except OSError as error:  # a full disk; the next update writes these, too
            _log.info("%s: run.json can't be written: %s", self._name, error)


class _ForwardedRun(Run):
    """A run whose run.json is kept by the parent."""

    def update(self, **values: Any) -> None:
        self.record |= values
        _answer("update", values)


class _Parent:
    """The listener that the follower in the child knows."""

    def busy(self, seconds: float) -> None:
        _answer("busy", seconds)

    def tell(self, level: int, text: str) -> None:
        _answer("tell", (level, text))


def _serve() -> None:
    """Follows runs until the parent closes the pipe or is gone."""
    # A Ctrl-C reaches the whole group; it is for the parent, which then closes the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    install_log_redaction()
    os.nice(_NICENESS)
    calls: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_receive, args=(calls,), daemon=True).start()
    follower: Follower = calls.get()(_Parent())
    is_following = False
    while True:
        try:
            method, argument = calls.get(timeout=_SECONDS_BETWEEN_LOOKS if is_following else None)
        except queue.Empty:
            follower.advance()
            continue
        is_following = method == "open"
        if is_following:
            follower.open(_ForwardedRun(*argument))
            follower.advance()
        else:
            _answer("done", follower.close(argument))


def _receive(calls: "queue.Queue[Any]") -> None:
    """Takes the parent's calls on a thread of its own; without a parent nothing is worth doing."""
    try:
        while True:
            calls.put(pickle.load(sys.stdin.buffer))  # noqa: S301  from our own parent
    finally:
        os._exit(0)


_answers: IO[bytes]


def _answer(kind: str, value: Any) -> None:
    try:
        pickle.dump((kind, value), _answers)
        _answers.flush()
    except BrokenPipeError:
        os._exit(0)  # the parent is gone, and nothing more is worth doing


if __name__ == "__main__":
    # What libraries print must not get among the answers.
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve()
