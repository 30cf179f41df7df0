"""A sink in a process of its own: its work takes no time from the interpreter that trains."""

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

from expt.record.recorder import Record, Recorder
from expt.record.run import Run, Status


class SinkError(Exception):
    """What a sink raised in its process; the note is its traceback there."""


class SeparateProcess:
    """Forwards the recorder protocol to a sink that lives in a child process.

    The child starts at once, so that the sink's imports happen while this process does other
    things, and serves any number of runs. Calls wait for the child's answer: use it behind
    `Background`.

    Args:
        make_sink: Makes the sink, in the child; a function or class that pickle finds by name.
    """

    def __init__(self, make_sink: Callable[[], Recorder]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "expt.record.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._send(make_sink)

    def open(self, run: Run) -> None:
        """Opens the sink; what it adds to run.json is added here."""
        self._run = run
        self._call("open", (run.directory, run.output_dir, run.config, run.params, run.record))

    def write(self, record: Record) -> None:
        """Writes to the sink."""
        self._call("write", record)

    def close(self, status: Status) -> None:
        """Closes the sink; the child waits for the next run."""
        self._call("close", status)

    def stop(self) -> None:
        """Ends the child."""
        self._child.communicate()

    def _call(self, method: str, argument: Any) -> None:
        self._send((method, argument))
        assert self._child.stdout is not None
        while True:
            kind, value = pickle.load(self._child.stdout)  # noqa: S301  from our own child
            if kind == "update":
                self._run.update(**value)
            elif kind == "error":
                message, trace = value
                error = SinkError(message)
                error.add_note(trace)
                raise error
            else:
                return

    def _send(self, message: Any) -> None:
        assert self._child.stdin is not None
        pickle.dump(message, self._child.stdin)
        self._child.stdin.flush()


class _ForwardedRun(Run):
    """A run whose run.json is kept by the parent."""

    def update(self, **values: Any) -> None:
        _answer("update", values)


def _serve() -> None:
    """Answers the parent's calls until it closes the pipe or is gone."""
    # A Ctrl-C reaches the whole group; it is for the parent, which then closes the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    calls = sys.stdin.buffer
    sink: Recorder = pickle.load(calls)()  # noqa: S301  from our own parent
    while True:
        try:
            method, argument = pickle.load(calls)  # noqa: S301
        except EOFError:
            return
        try:
            if method == "open":
                argument = _ForwardedRun(*argument)
            getattr(sink, method)(argument)
        # Whatever the sink raises, the parent reports it.
        except Exception as error:  # noqa: BLE001
            _answer("error", (f"{type(error).__name__}: {error}", traceback.format_exc()))
        else:
            _answer("done", None)


_answers: IO[bytes]


def _answer(kind: str, value: Any) -> None:
    pickle.dump((kind, value), _answers)
    _answers.flush()


if __name__ == "__main__":
    # What libraries print must not get among the answers.
    _answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve()
