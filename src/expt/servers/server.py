"""A web server in processes of its own, which end with this one."""

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
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_BETWEEN_REFRESHES = 3.0
_LAST_LINES, _LAST_BYTES = 20, 10_000


@dataclass(frozen=True, kw_only=True)
class ServerProgram:
    """What serves, and where.

    Attributes:
        name: What the user is told it is called.
        module: What `python -m` runs.
        arguments: Its arguments.
        environment: What it reads from the environment besides what is there.
        host: Where it listens.
        port: Where it listens.
        path: A page that answers as soon as it serves.
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
    """Starts servers, waits until all answer, and stops them with all their processes.

    Raises:
        RunError: One of them ended, or did not answer in time.
    """
    started: list[_Server] = []
    try:
        started.extend(map(_Server, programs))
        servers = Servers(started)
        servers.wait_until_ready()
        yield servers
    finally:
        for server in started:
            server.signal(signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for server in started:
            server.stop(deadline)


@contextmanager
def _signals_noted() -> Iterator[Callable[[], None]]:
    """Notes signals, and yields what lets their handlers act on them.

    An exception that a handler raises is lost where Python ignores exceptions, such as in a
    destructor that runs at that moment.
    """
    noted: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _frame: noted.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }

    def act() -> None:
        for number in noted:
            handler = handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, None)

    try:
        yield act
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Servers:
    """Servers that need one another: if one ends, all do."""

    def __init__(self, servers: Sequence["_Server"]) -> None:
        self._servers = servers

    def wait_until_ready(self) -> None:
        """Waits until all answer.

        Raises:
            RunError: One has ended, or there is no answer.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        for server in self._servers:
            while not server.answers():
                self._check()
                if time.monotonic() > deadline:
                    raise RunError(server.told("does not answer"))
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        self._check()  # an answer may have come from another server on its port

    def wait(self, refresh: Callable[[], None]) -> None:
        """Waits until one has ended.

        Args:
            refresh: Called every few seconds.

        Raises:
            RunError: It has.
        """
        refreshed = time.monotonic()
        with _signals_noted() as act_on_signals:
            while True:
                self._check()
                if time.monotonic() - refreshed > _SECONDS_BETWEEN_REFRESHES:
                    refresh()
                    refreshed = time.monotonic()
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                act_on_signals()

    def _check(self) -> None:
        for server in self._servers:
            if server.has_ended:
                raise RunError(server.told("has ended"))


class _Server:
    """One of them: the leader of a group of processes that listens to a pipe of this one."""

    def __init__(self, program: ServerProgram) -> None:
        self._program = program
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  it has no name, and goes with us
        self._process = subprocess.Popen(
            [sys.executable, "-m", "expt.servers.child", program.module, *program.arguments],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **program.environment},
            start_new_session=True,  # a Ctrl-C is for this process, which ends them
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

    def told(self, what: str) -> str:
        """Returns a sentence on what happened to it, and the last lines of its log."""
        size = os.fstat(self._log.fileno()).st_size
        # Its own place in the file, where the server writes on, stays.
        end = os.pread(self._log.fileno(), _LAST_BYTES, max(0, size - _LAST_BYTES))
        lines = end.decode(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([f"{self._program.name} {what}. Its last lines:", *lines])

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def stop(self, deadline: float) -> None:
        """Waits until it has ended; ends what is left of it after the deadline."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self.signal(signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._log.close()
