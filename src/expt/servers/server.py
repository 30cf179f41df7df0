"""Web servers in child processes, which end with this process."""

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from expt.errors import RunError
from expt.servers.network import local_host

_SECONDS_TO_START = 120.0
_SECONDS_TO_STOP = 5.0
_SECONDS_TO_ANSWER = 5.0
_POLL_SECONDS = 0.2
_SECONDS_BETWEEN_REFRESHES = 3.0
_LAST_LINES, _LAST_BYTES = 20, 10_000


@dataclass(frozen=True, kw_only=True)
class ServerProgram:
    """A web server as a Python module with its arguments.

    Attributes:
        name: The name in messages.
        module: The module, which is run like `python -m` does.
        arguments: The arguments of the module.
        environment: Environment variables that are added to those of this process.
        host: The host that the server listens on.
        port: The port that the server listens on.
        path: The path of a page that answers with 200 once the server is ready.
    """

    name: str
    module: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    host: str
    port: int
    path: str


@contextmanager
def running(programs: Sequence[ServerProgram]) -> Iterator["Servers"]:
    """Starts servers, waits until all answer, and stops them at the end of the `with` block.

    Raises:
        RunError: A server ended, or did not answer in time.
    """
    started: list[_Server] = []
    try:
        started.extend(map(_Server, programs))
        servers = Servers(started)
        servers.wait_until_ready()
        yield servers
    finally:
        # All are signalled before the first one is waited for, so that they end at the same time.
        for server in started:
            server.signal(signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for server in started:
            server.stop(deadline)


@contextmanager
def _deferred_signals() -> Iterator[Callable[[], None]]:
    """Collects signals, and yields a function that calls their handlers.

    Handlers raise exceptions. If a signal arrived while Python runs a destructor, for example, the
    exception would be ignored and the signal lost.
    """
    received: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    def call_handlers() -> None:
        for number in received:
            handler = handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, None)

    try:
        yield call_handlers
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Servers:
    """Servers that run together: if one of them ends, an error is raised for all."""

    def __init__(self, servers: Sequence["_Server"]) -> None:
        self._servers = servers

    def wait_until_ready(self) -> None:
        """Waits until all servers answer.

        Raises:
            RunError: A server has ended, or did not answer in time.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        for server in self._servers:
            while not server.answers():
                self._check()
                if time.monotonic() > deadline:
                    raise RunError(server.failure_text("does not answer"))
                time.sleep(_POLL_SECONDS)
        # If another program has taken a port, that program answered and the server has ended.
        self._check()

    def wait(self, refresh: Callable[[], None]) -> None:
        """Waits until a server ends, or until a signal's handler raises an exception.

        Args:
            refresh: Called every few seconds.

        Raises:
            RunError: A server has ended.
        """
        refreshed = time.monotonic()
        with _deferred_signals() as call_handlers:
            while True:
                self._check()
                if time.monotonic() - refreshed > _SECONDS_BETWEEN_REFRESHES:
                    refresh()
                    refreshed = time.monotonic()
                time.sleep(_POLL_SECONDS)
                call_handlers()

    def _check(self) -> None:
        for server in self._servers:
            if server.has_ended:
                raise RunError(server.failure_text("has ended"))


class _Server:
    """A running server: the leader of a process group, which ends when its stdin is closed."""

    def __init__(self, program: ServerProgram) -> None:
        self._program = program
        # A file rather than a pipe, which would block the server once nobody reads it.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in `stop`
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expt.servers.child", program.module, *program.arguments],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **program.environment},
            start_new_session=True,  # so that Ctrl-C reaches only this process, which stops them
        )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def answers(self) -> bool:
        program = self._program
        connection = http.client.HTTPConnection(
            local_host(program.host), program.port, timeout=_SECONDS_TO_ANSWER
        )
        try:
            connection.request("GET", program.path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def failure_text(self, failure: str) -> str:
        """Returns a message that consists of the failure and the last lines of the log."""
        size = os.fstat(self._log.fileno()).st_size
        # `pread` does not move the file position, which is shared with the server that writes.
        end = os.pread(self._log.fileno(), _LAST_BYTES, max(0, size - _LAST_BYTES))
        lines = end.decode(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([f"{self._program.name} {failure}. The end of its log:", *lines])

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def stop(self, deadline: float) -> None:
        """Waits until the server has ended, and kills the rest of its group after the deadline."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self.signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._log.close()
