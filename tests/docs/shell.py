"""A shell for the commands of a page: one folder, one environment, and fast starts of expt."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import ready_processes

_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_SPECIAL = re.compile(r"[|&;<>()$`*?~#{}\n\\]|^\s*\w+=")
_EXPT = Path(__file__).parent / "bin/expt"
_FOLDERS = (Path(sys.executable).parent, _EXPT.parent)
_TIMEOUT = 600
_COLUMNS = "100"


@dataclass(frozen=True)
class Printed:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        text: What it printed to stdout and stderr.
    """

    code: int
    text: str


@dataclass
class Shell:
    """Runs commands as a user's shell does; `cd` and `export` hold for those that follow.

    Attributes:
        folder: Where commands run.
        environment: Their variables.
    """

    folder: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            **os.environ,
            "PATH": os.pathsep.join([*map(str, _FOLDERS), os.environ["PATH"]]),
            "COLUMNS": _COLUMNS,
        }
    )

    def run(self, command: str) -> Printed:
        """Runs a command; those of expt run in processes that have their imports done."""
        if _SPECIAL.search(_QUOTED.sub("", command)):
            return self._run(["sh", "-c", command])
        words = shlex.split(command, comments=False)
        name, *arguments = words
        if name == "cd":
            self.folder = (self.folder / Path(arguments[0]).expanduser()).resolve()
            return Printed(0 if self.folder.is_dir() else 1, "")
        if name == "export":
            self.environment |= dict(word.split("=", 1) for word in arguments)
            return Printed(0, "")
        if name == "expt":
            return self._run([sys.executable, str(_EXPT), *arguments])
        return self._run([sys.executable, *arguments] if name == "python" else words)

    def _run(self, words: list[str]) -> Printed:
        done = ready_processes.run(
            words,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT,
        )
        # A reader's interpreter is called `python`; that of the tests may be `python3.11`.
        called = f"{Path(sys.executable).name} -m "
        return Printed(done.returncode, done.stdout.replace(called, "python -m "))
