"""Python processes that are forked from one with TensorFlow imported, for tests of what follows.

Importing TensorFlow takes four seconds of every command; forking a process that has done so takes
a tenth of one. `Popen` and `run` are those of `subprocess`, and hand over streams, folder,
environment and arguments, so that the fork is as a fresh process once its imports are done:
nothing has touched a device, a thread pool or a tensor. What a fork cannot be is started for real:
other programs, and other values of variables that the imports read. The processes that a fork
starts itself (workers of a sweep, what mirrors a run in MLflow) are forks, too.

Tests of the start, of what is imported, and of messages before TensorFlow take `subprocess`.
"""

import contextlib
import inspect
import multiprocessing.context
import os
import pickle
import select
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Mapping, Sequence
from multiprocessing import popen_spawn_posix
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from typing import Any, ClassVar

import psutil

SERVER = Path(__file__).with_name("ready_server.py")
ADDRESS = "EXPT_TESTS_READY_SERVER"
"""Names the variable that holds the socket of a server that serves this process and others."""

_Real, _real_spawn = subprocess.Popen, multiprocessing_util.spawnv_passfds
_LARGEST = 2**17  # bytes of a request
# The interpreter and the libraries read these while they start.
_READ_BY_IMPORTS = (
    "PYTHON",
    "LC_",
    "LANG",
    "TF_",
    "KERAS_",
    "CUDA_",
    "XLA_",
    "OMP_",
    "LD_",
    "HOME",
)
_NOT_READ = ("TF_CPP_MIN_LOG_LEVEL", "TF_NUM_INTRAOP_THREADS")


def _signature(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that a process must share with the server."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_BY_IMPORTS) and name not in _NOT_READ
    }


class _Server:
    """The server of this process: the one it was forked from, a shared one, or its own."""

    address: str | None = None
    signature: Mapping[str, str] = {}
    seconds = 0.0  # of the processor, which forks have used
    process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def connect(cls) -> socket.socket:
        if cls.address is None:
            cls.address = os.environ.get(ADDRESS) or start_server()
            cls.signature = _signature(os.environ)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(cls.address)
        return connection


def start_server() -> str:
    """Starts a server that lives as long as this process; returns its address.

    Whoever connects waits until it has imported everything.
    """
    folder = tempfile.mkdtemp(prefix="expt-ready-")
    address = f"{folder}/socket"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    with open(f"{folder}/errors", "w") as errors:  # noqa: PTH123
        _Server.process = subprocess.Popen(
            [sys.executable, str(SERVER), address, str(listener.fileno())],
            stdin=subprocess.PIPE,  # its end is the server's
            stderr=errors,
            pass_fds=[listener.fileno()],
        )
    listener.close()
    return address


def stop_server() -> None:
    """Ends the server that this process has started, if any, with all that lives of its forks."""
    if _Server.process is not None:
        assert _Server.process.stdin is not None
        _Server.process.stdin.close()
        _Server.process.wait()


def descendants(process: int) -> list[psutil.Process]:
    """Returns the processes that a process and those below it have started, forks included."""
    with _Server.connect() as connection:
        connection.send(pickle.dumps("who lives?"))
        parents: dict[int, int] = pickle.loads(connection.recv(_LARGEST))  # noqa: S301
    found, numbers = [], [process]
    for number in numbers:
        with contextlib.suppress(psutil.NoSuchProcess):
            below = [child.pid for child in psutil.Process(number).children()]
            below += [fork for fork, parent in parents.items() if parent == number]
            found += [psutil.Process(child) for child in below]
            numbers += below
    return found


def processor_seconds() -> float:
    """Returns the processor time of all forks that had ended when the last one did."""
    return _Server.seconds


class _Fork:
    """A process that the server has forked."""

    def __init__(self, request: Mapping[str, Any], files: Sequence[int]) -> None:
        self._connection = _Server.connect()
        message = pickle.dumps(request)
        assert len(message) <= _LARGEST
        socket.send_fds(self._connection, [message], files)
        self.pid: int = self._receive()
        self.status: int | None = None

    def wait(self, seconds: float | None) -> int | None:
        """Returns how it has ended, as `os.waitpid` does; None if it has not within a time."""
        if self.status is None and select.select([self._connection], [], [], seconds)[0]:
            self.status, used = self._receive()
            _Server.seconds = used
            self._connection.close()
        return self.status

    def _receive(self) -> Any:
        try:
            message = self._connection.recv(_LARGEST)
        except ConnectionError:
            message = b""
        if not message:
            assert _Server.address is not None
            errors = Path(_Server.address).with_name("errors").read_text()
            raise RuntimeError(f"the server of ready processes has ended: {errors}")
        return pickle.loads(message)  # noqa: S301  of our own server


def _request(
    arguments: Sequence[Any],
    folder: object,
    environment: Mapping[str, str],
    numbers: Sequence[int],
) -> dict[str, Any]:
    return {
        "arguments": [os.fsdecode(argument) for argument in arguments],
        "folder": str(folder or Path.cwd()),
        "environment": dict(environment),
        "numbers": numbers,
        "is_session": False,
    }


class Popen(subprocess.Popen[Any]):
    """As `subprocess.Popen`, for Python processes: a module, some code, or a script."""

    _ready: _Fork | None = None
    _names = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]

    def _execute_child(self, *arguments: Any, **more: Any) -> None:
        given = self._names.bind(self, *arguments, **more).arguments
        environment = os.environ if given["env"] is None else given["env"]
        if not _can_be_forked(given, environment):
            super()._execute_child(*arguments, **more)  # type: ignore[misc]
            return
        pipes = (given["p2cread"], given["c2pwrite"], given["errwrite"])
        files = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes)]
        request = _request(given["args"], given["cwd"], environment, [0, 1, 2])
        request["is_session"] = given["start_new_session"]
        try:
            self._ready = _Fork(request, files)
        finally:
            names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(given[name] for name in names))  # type: ignore[attr-defined]
        self.pid = self._ready.pid
        self._child_created = True

    def _internal_poll(self, *arguments: Any, **more: Any) -> int | None:
        if self._ready is None:
            return super()._internal_poll(*arguments, **more)  # type: ignore[misc,no-any-return]
        lock: threading.Lock = vars(self)["_waitpid_lock"]
        if self.returncode is None and lock.acquire(blocking=False):
            try:
                self._take(self._ready.wait(0))
            finally:
                lock.release()
        return self.returncode

    def _try_wait(self, flags: int) -> tuple[int, int]:
        if self._ready is None:
            return super()._try_wait(flags)  # type: ignore[misc,no-any-return]
        status = self._ready.wait(0 if flags & os.WNOHANG else None)
        return (0, 0) if status is None else (self.pid, status)

    def _take(self, status: int | None) -> None:
        if self.returncode is None and status is not None:
            self._handle_exitstatus(status)  # type: ignore[attr-defined]


def _can_be_forked(given: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    arguments = given["args"]
    if sys.platform != "linux" or isinstance(arguments, str | bytes | os.PathLike):
        return False
    others = ("preexec_fn", "pass_fds", "shell", "executable")
    is_plain = not any(given[name] for name in others) and given["process_group"] == -1
    is_python = len(arguments) > 1 and str(arguments[0]) == sys.executable
    if not is_plain or not is_python:
        return False
    if _Server.address is None:
        _Server.connect().close()
    return _signature(environment) == _Server.signature


def run(
    arguments: Sequence[str], *, timeout: float | None = None, check: bool = False, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    """As `subprocess.run`."""
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(arguments, **options) as process:
        try:
            out, error = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(arguments, process.returncode, out, error)
    if check:
        done.check_returncode()
    return done


class _InnerPopen(Popen):
    """Forks only commands of expt: what else a command starts is not for the server."""

    def _execute_child(self, *arguments: Any, **more: Any) -> None:
        given = self._names.bind(self, *arguments, **more).arguments["args"]
        if list(given)[1:2] == ["-m"] and str(given[2]).startswith("expt."):
            super()._execute_child(*arguments, **more)
        else:
            _Real._execute_child(self, *arguments, **more)  # type: ignore[attr-defined]


class _SpawnedPopen(popen_spawn_posix.Popen):
    """A process of `multiprocessing` that is forked where others start afresh."""

    _forks: ClassVar[dict[int, _Fork]] = {}

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None and self.pid in self._forks:
            status = self._forks[self.pid].wait(0 if flag & os.WNOHANG else None)
            self.returncode = None if status is None else os.waitstatus_to_exitcode(status)
        return self.returncode

    @classmethod
    def fork(cls, path: bytes, arguments: Sequence[Any], files: Sequence[int]) -> int:
        """As `spawnv_passfds`."""
        if not any("spawn_main" in os.fsdecode(argument) for argument in arguments):
            return _real_spawn(path, arguments, files)  # what tracks resources
        numbers = [0, 1, 2, *sorted(files)]
        fork = _Fork(_request(arguments, None, os.environ, numbers), numbers)
        cls._forks[fork.pid] = fork
        return fork.pid


def fork_what_is_started(address: str) -> None:
    """Lets the server of this process, a fork, also fork what this process starts."""
    _Server.address, _Server.signature = address, _signature(os.environ)
    subprocess.Popen = _InnerPopen  # type: ignore[misc]
    fork_what_is_spawned()


def fork_what_modules_start(*modules: types.ModuleType) -> None:
    """Lets modules that start processes fork commands of expt, in a process that is no fork.

    `subprocess` itself stays as it is: tests that need a fresh process take it.
    """
    forking = types.ModuleType("subprocess")
    vars(forking).update(vars(subprocess))
    vars(forking)["Popen"] = _InnerPopen
    for module in modules:
        vars(module)["subprocess"] = forking


def fork_what_is_spawned() -> None:
    """Lets `multiprocessing` fork where it starts processes afresh."""
    context: Any = multiprocessing.context
    util: Any = multiprocessing_util
    util.spawnv_passfds = _SpawnedPopen.fork
    for kind in (context.SpawnProcess, context.ForkServerProcess):
        kind._Popen = staticmethod(_SpawnedPopen)
