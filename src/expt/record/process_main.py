"""The main program of the child process that `FollowerProcess` starts."""

import os
import pickle
import queue
import signal
import sys
import threading
from typing import IO, Any

from expt.record.process import Follower
from expt.runs.run import Run
from expt.runs.secrets import install_log_redaction

_POLL_SECONDS = 1.0


class _ForwardedRun(Run):
    """A run in the child, whose run.json only the parent writes.

    Two writers would overwrite each other's fields, since the file is replaced as a whole.
    """

    def update(self, **values: Any) -> None:
        self.record = self.record.updated(values)
        _report("update", str(self.directory), values)


class _ParentListener:
    """The listener in the child, which forwards reports on one run to the parent."""

    def __init__(self, key: str) -> None:
        self._key = key

    def extend_deadline(self, seconds: float) -> None:
        _report("deadline", self._key, seconds)

    def log(self, level: int, text: str) -> None:
        _report("log", self._key, (level, text))


def _serve(niceness: int) -> None:
    """Follows runs until the parent closes the pipe or ends."""
    # Ctrl-C signals the whole process group. Only the parent reacts, and then closes the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    install_log_redaction()
    os.nice(niceness)
    calls: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_receive, args=(calls,), daemon=True).start()
    calls.get()()  # the first message is `prepare`
    followers: dict[str, Follower] = {}
    while True:
        try:
            method, key, argument = calls.get(timeout=_POLL_SECONDS if followers else None)
        except queue.Empty:
            for follower in followers.values():
                follower.advance()
            continue
        if method == "open":
            make_follower, contents = argument
            follower = followers[key] = make_follower(_ParentListener(key))
            follower.open(_ForwardedRun(*contents))
            follower.advance()
        else:
            _report("done", key, followers.pop(key).close(argument))


def _receive(calls: "queue.Queue[Any]") -> None:
    """Queues the parent's messages, on a separate thread; ends the process with the parent.

    A thread notices the closed pipe even while the main thread waits for a request to a store.
    """
    try:
        while True:
            calls.put(pickle.load(sys.stdin.buffer))  # noqa: S301  from our own parent
    finally:
        os._exit(0)


_reports: IO[bytes]


def _report(kind: str, key: str, value: Any) -> None:
    try:
        pickle.dump((kind, key, value), _reports)
        _reports.flush()
    except BrokenPipeError:
        os._exit(0)  # the parent has ended


if __name__ == "__main__":
    # Output that libraries print to stdout must not mix with the pickled reports.
    _reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(int(sys.argv[1]))
