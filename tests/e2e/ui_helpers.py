"""Starts `python -m expt.ui` as a process, and sends requests to its servers."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from visdom_helpers import require_visdom

from servers.process_helpers import descendants, free_port

_LAST_LINE = "Ctrl-C stops"


class Interface:
    """A running `expt.ui` whose servers answer.

    Attributes:
        lines: The lines that the command has printed.
        started: The processes of its servers.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "expt.ui", *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.lines: list[str] = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(_LAST_LINE):
                break
        self.started: list[psutil.Process] = descendants(self.process.pid)

    def addresses(self, name: str) -> list[str]:
        """Returns the addresses that were printed beside a name, or below it."""
        found = re.search(rf"^{name}.*(\n .*)*", "\n".join(self.lines), re.MULTILINE)
        assert found, self.lines
        return re.findall(r"\w+://\S+", found.group())

    def end(self, number: int) -> tuple[int, str]:
        """Ends the command by a signal; returns its exit code and its stderr."""
        self.process.send_signal(number)
        _, error = self.process.communicate(timeout=60)
        return self.process.returncode, error


@contextmanager
def interface(folder: Path, *arguments: str, **environment: str) -> Iterator[Interface]:
    """Starts `expt.ui` on free ports, and kills it at the end of the block if it still runs."""
    ports = [f"--tensorboard-port={free_port()}", f"--mlflow-port={free_port()}"]
    with TemporaryDirectory() as temporary:  # a killed command leaves its links
        shown = Interface(folder, *ports, *arguments, TMPDIR=temporary, **environment)
        try:
            yield shown
        finally:
            shown.process.kill()
            shown.process.communicate()


@contextmanager
def visdom_interface(folder: Path, *arguments: str) -> Iterator[Interface]:
    """Like `interface`, with Visdom; skips the test if Visdom is not installed, except in CI."""
    require_visdom()
    with interface(folder, *arguments, HOME=str(folder)) as shown:
        yield shown


def ask(address: str, question: Any = None, **headers: str) -> Any:
    """Returns the JSON that a server answers to GET, or to POST if there is a question."""
    body = None if question is None else json.dumps(question).encode()
    headers = {"Content-Type": "application/json"} | headers
    request = urllib.request.Request(address, body, headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)
