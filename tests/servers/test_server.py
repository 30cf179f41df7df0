"""Servers in child processes: they are ready when they answer, and end with their parent."""

import http.client
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from mlflow_helpers import until

from expt.errors import RunError
from expt.servers.server import ServerProgram, running
from servers.process_helpers import descendants, free_port, is_alive, is_taken

_FOLDER = Path(__file__).parent
_STARTS = """
from test_server import program
from expt.servers.server import running
with running([program({port})]) as servers:
    print("ready", flush=True)
    servers.wait(lambda: None)
"""


def program(port: int, name: str = "Test") -> ServerProgram:
    return ServerProgram(
        name=name,
        module="forking_server",
        arguments=[str(port)],
        environment={"PYTHONPATH": os.pathsep.join([str(_FOLDER), *sys.path])},
        host="127.0.0.1",
        port=port,
        path="/",
    )


def _ask_to_fail(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/fail")
    with closing(connection), suppress(http.client.HTTPException, ConnectionError):
        connection.getresponse()


def test_servers_answer_inside_the_block_and_are_gone_after_it() -> None:
    before = set(descendants(os.getpid()))
    ports = [free_port(), free_port()]
    with running([program(port) for port in ports]):
        assert all(is_taken(port) for port in ports)
        started = set(descendants(os.getpid())) - before
        assert len(started) == 4
    until(lambda: not any(map(is_alive, started)))
    assert not any(is_taken(port) for port in ports)


def test_failed_server_ends_the_others_and_its_log_is_shown() -> None:
    before = set(descendants(os.getpid()))
    port = free_port()
    with running([program(free_port()), program(port, "Faulty")]) as servers:
        started = set(descendants(os.getpid())) - before
        _ask_to_fail(port)
        with pytest.raises(RunError) as raised:
            servers.wait(lambda: None)
    lines = str(raised.value).splitlines()
    assert lines[0] == "Faulty has ended. The end of its log:"
    assert lines[1].startswith("listening beside")
    assert lines[2:] == ["no more memory"]
    until(lambda: not any(map(is_alive, started)))


def test_server_that_ends_early_raises() -> None:
    with pytest.raises(RunError, match="no more memory"), running([program(0)]):
        pytest.fail("it never answered")


def test_killed_command_leaves_no_process() -> None:
    port = free_port()
    command = subprocess.Popen(
        [sys.executable, "-c", _STARTS.format(port=port)],
        env={**os.environ, **program(port).environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    with command.stdout:
        assert command.stdout.readline() == "ready\n"
    started = descendants(command.pid)
    assert len(started) == 2
    command.send_signal(signal.SIGKILL)
    command.wait()
    until(lambda: not any(map(is_alive, started)))
    assert not is_taken(port)
