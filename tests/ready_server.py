"""Forks processes that have TensorFlow imported: the other side of `ready_processes`.

`ready_processes` runs it with the address and the descriptor of a listening socket. A connection
asks for one process. It receives the id of the process, and at the end of the process its status
and the processor time of all processes that have ended. The server ends when its standard input is
closed.
"""

import contextlib
import gc
import importlib
import json
import os
import pickle
import resource
import runpy
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mlflow_template import copy_new_databases

MODULES = ("tensorflow", "keras", "mlflow", "matplotlib.pyplot", "pandas")
_LARGEST = 2**17  # bytes of a request


class _Server:
    """The running processes, and the connections to which their ends are reported."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[int, socket.socket] = {}
        self._parents: dict[int, int] = {}  # who has asked for a process that lives
        self._selector = selectors.DefaultSelector()
        self._ended, waker = os.pipe()
        for end in (self._ended, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for source in (0, listener, self._ended):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> tuple[Mapping[str, Any], Sequence[int]] | None:
        """Serves until the end; returns in each process with what that is to do."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == 0:
                    self._end()
                    return None
                if key.fileobj == self._ended:
                    self._report_ended()
                elif (request := self._answer()) is not None:
                    return request

    def _answer(self) -> tuple[Mapping[str, Any], Sequence[int]] | None:
        client, _ = self._listener.accept()
        message, files, _, _ = socket.recv_fds(client, _LARGEST, 16)
        request = pickle.loads(message) if message else None  # noqa: S301  of the test suite
        if not isinstance(request, dict):  # it waited for the imports, or asks who lives
            _send(client, self._parents)
            client.close()
            return None
        number = os.fork()
        if number == 0:
            self._close()
            client.close()
            return request, files
        for file in files:
            os.close(file)
        self._clients[number] = client
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self._parents[number] = struct.unpack("3i", credentials)[0]
        _send(client, number)
        return None

    def _report_ended(self) -> None:
        while True:
            try:
                os.read(self._ended, 1000)
            except BlockingIOError:
                break
        while self._clients:
            number, status = os.waitpid(-1, os.WNOHANG)
            if number == 0:
                break
            client = self._clients.pop(number)
            del self._parents[number]
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            _send(client, (status, used.ru_utime + used.ru_stime))
            client.close()

    def _close(self) -> None:
        """Closes what a garbage collection would close later, when others have the numbers."""
        self._selector.close()
        self._listener.close()
        for client in self._clients.values():
            client.close()

    def _end(self) -> None:
        for number in self._clients:
            os.kill(number, signal.SIGKILL)


def _send(client: socket.socket, message: Any) -> None:
    with contextlib.suppress(OSError):  # it has ended
        client.send(pickle.dumps(message))


def main() -> None:
    """Imports everything, then forks."""
    address, descriptor = sys.argv[1], int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    sys.path.append(str(Path(__file__).parent))
    _import_all()
    _learn_from_a_run(Path(address).parent)
    gc.collect()
    gc.freeze()
    served = _Server(socket.socket(fileno=descriptor)).serve()
    if served is None:
        shutil.rmtree(Path(address).parent)
    else:
        _become(address, *served)


def _import_all() -> None:
    from expt.record.mlflow.store import prepare_mlflow

    before = dict(os.environ)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    prepare_mlflow()
    for module in MODULES:
        importlib.import_module(module)
    os.environ.clear()
    os.environ.update(before)


def _learn_from_a_run(folder: Path) -> None:
    """Lets a fork train and record a run, and imports what that had to import for itself."""
    recorded = folder / "prepared"
    number = os.fork()
    if number == 0:
        _train(folder, recorded)
    os.waitpid(number, 0)
    for module in json.loads(recorded.read_text()):
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    copy_new_databases(folder / "template.db")


def _train(folder: Path, recorded: Path) -> NoReturn:
    """Records what a run imports; makes MLflow's tables."""
    os.chdir(folder)
    before = set(sys.modules)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    copy_new_databases(folder / "template.db")
    sys.argv = ["run", "loop.epochs=1", "recorder=tensorboard"]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    with contextlib.suppress(SystemExit):
        runpy.run_module("expt.run", run_name="__main__")
    _use_mlflow()
    recorded.write_text(json.dumps(sorted(set(sys.modules) - before)))
    os._exit(0)


def _use_mlflow() -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    run = client.create_run(client.create_experiment("any"))
    client.log_metric(run.info.run_id, "any", 1)
    client.search_runs([run.info.experiment_id])
    client.log_text(run.info.run_id, "any", "any.txt")


def _become(address: str, request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Makes this process what a fresh one is after its imports, and runs what was asked for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _take_files(files, request["numbers"])
    if request["is_session"]:
        os.setsid()
    os.chdir(request["folder"])
    import ready_processes

    ready_processes.fork_what_is_started(address)
    os.environ.clear()
    os.environ.update(request["environment"])
    _forget()
    _, *arguments = request["arguments"]
    _run(arguments)


def _take_files(files: Sequence[int], numbers: Sequence[int]) -> None:
    above = max(*files, *numbers) + 1
    high = [os.dup2(file, above + at, inheritable=False) for at, file in enumerate(files)]
    for file, number in zip(high, numbers, strict=True):
        os.dup2(file, number)
    largest = os.sysconf("SC_OPEN_MAX")
    kept = sorted(numbers)
    for start, end in zip([-1, *kept], [*kept, largest], strict=True):
        if start + 1 < end:  # an empty range can be taken for an endless one
            os.closerange(start + 1, end)


def _forget() -> None:
    """Resets what the server's life has left in modules."""
    import numpy as np

    from expt.record import phases
    from expt.train import backend as module

    backend: Any = module
    for stream in (sys.stdout, sys.stderr):
        assert hasattr(stream, "reconfigure")
        stream.reconfigure(line_buffering=stream is sys.stderr or os.isatty(stream.fileno()))
    tempfile.tempdir = None
    np.random.seed()
    phases._lap[0] = time.monotonic()
    # What is printed while TensorFlow starts goes to the log with what its import prints.
    messages = iter([backend.stderr_to_log])

    def logged_once() -> contextlib.AbstractContextManager[None]:
        return next(messages, contextlib.nullcontext)()

    setattr(backend, "_start_messages_to_log", logged_once)  # noqa: B010


def _run(arguments: Sequence[str]) -> None:
    """Does as the interpreter with these arguments."""
    del sys.path[0]  # the folder of this script
    sys.modules["__main__"] = types.ModuleType("__main__")
    kind, *rest = arguments
    if kind == "-m":
        name, *sys.argv[1:] = rest
        sys.modules.pop(name, None)  # it is run before it is imported
        sys.path.insert(0, str(Path.cwd()))
        runpy._run_module_as_main(name)  # type: ignore[attr-defined]
    elif "-c" in arguments:
        code, *given = arguments[arguments.index("-c") + 1 :]
        sys.argv = ["-c", *given]
        sys.path.insert(0, "")
        exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))  # noqa: S102
    else:
        sys.argv = list(arguments)
        sys.path.insert(0, str(Path(kind).parent))
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main()
