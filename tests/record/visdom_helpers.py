"""A real Visdom server for tests, and what it shows."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from mlflow_helpers import until

from servers.process_helpers import free_port, is_taken


def require_visdom() -> None:
    """Skips a test if visdom is not installed, except where CI is set."""
    if find_spec("visdom") is None and "CI" not in os.environ:
        pytest.skip("visdom is not installed; make test installs it")


class VisdomServer:
    """Visdom as `expt.ui --visdom` starts it, on a free port.

    Attributes:
        port: The port it listens on.
        process: Its process.
    """

    def __init__(self, home: Path, port: int | None = None) -> None:
        require_visdom()
        self.port = free_port() if port is None else port
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "expt.servers.visdom"),
                *("-port", str(self.port), "-bind_local", "-logging_level", "WARNING"),
            ],
            env={**os.environ, "HOME": str(home)},  # it stores environments there
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: is_taken(self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def windows(self, environment: str) -> dict[str, Any]:
        """Returns the windows of an environment, by their ids."""
        import visdom

        client = visdom.Visdom(
            port=self.port, env=environment, use_incoming_socket=False, raise_exceptions=True
        )
        with client.session:
            found: dict[str, Any] = json.loads(client.get_window_data())
        return found
