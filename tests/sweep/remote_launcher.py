"""A launcher whose worker shares no files with it, as if the worker were on another machine.

Tasks and events are sent over a socket. The worker has its own working directory, home directory
and temporary directory.
"""

import os
import pickle
import queue
import socket
import subprocess
import sys
import threading
from io import BufferedRWPair
from pathlib import Path

from expt.sweep.launchers import Event, Task, TaskEnded, TaskStarted

_HELPERS = Path(__file__).parents[1]


class RemoteLauncher:
    """A launcher with one worker, which only gets the port of a socket."""

    num_slots = 1

    def __init__(self, folder: Path) -> None:
        """Starts the worker with a folder as its working, home and temporary directory."""
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._running = 0
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            path = os.pathsep.join([str(_HELPERS), *filter(None, sys.path)])
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "EXPT_ALLOW": "sweep"}
            environment |= dict.fromkeys(("HOME", "TMPDIR"), str(folder))
            command = [sys.executable, "-m", "sweep.remote_launcher", str(port)]
            self._worker = subprocess.Popen(command, cwd=folder, env=environment)
            self._connection, _ = server.accept()
        self._stream = self._connection.makefile("rwb")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        return not self._running and self._events.empty()

    def submit(self, task: Task) -> None:
        self._running += 1
        _send(self._stream, task)

    def next_event(self, seconds: float) -> Event | None:
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        self._running -= isinstance(event, TaskEnded)
        return event

    def cancel(self, number: int) -> None:
        raise NotImplementedError

    def hold(self) -> None:
        """Does nothing: a submitted task starts immediately, so none is queued."""

    def stop(self) -> None:
        self._worker.terminate()

    def close(self) -> None:
        self._worker.kill()
        self._worker.wait()
        self._thread.join()
        self._stream.close()
        self._connection.close()

    def _listen(self) -> None:
        try:
            while True:
                self._events.put(pickle.load(self._stream))  # noqa: S301  from our own child
        except (EOFError, OSError):
            pass


def _send(stream: BufferedRWPair, message: object) -> None:
    pickle.dump(message, stream)
    stream.flush()


def _work(port: int) -> None:
    from expt.sweep.launchers import worker
    from expt.train.data_loading import DataLoader

    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rwb")
        worker.prepare(2, 1, {}, DataLoader())
        while True:
            try:
                task: Task = pickle.load(stream)  # noqa: S301  from the test
            except EOFError:
                return
            _send(stream, TaskStarted(task.number))
            _send(stream, TaskEnded(task.number, task.function(*task.arguments)))


if __name__ == "__main__":
    _work(int(sys.argv[1]))
