"""The guide docs/your-own-parts.md: its files, and its first commands with the installed wheel.

`tests/docs/` runs all of its commands in the checkout.
"""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from docs.output import is_shown
from docs.page import RunCommand, WriteFile, read_steps

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests/user_project"
STEPS = read_steps(ROOT / "docs/your-own-parts.md")
NUM_COMMANDS = 2


def test_guide_shows_the_whole_project() -> None:
    """The project is checked by the linter and the type checker; other tests use it."""
    files = [path for path in PROJECT.rglob("*") if path.suffix in (".py", ".yaml")]
    assert {step.path: step.text for step in STEPS if isinstance(step, WriteFile)} == {
        path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8") for path in files
    }


@dataclass(frozen=True)
class Installed:
    """An environment that contains the wheel of expt.

    Attributes:
        python: The interpreter of the environment.
        project: A folder with the files of the guide.
    """

    python: Path
    project: Path

    def run(self, command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command in a shell, as a user does."""
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        path = f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.project,
            env={**kept, "PATH": path, "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    for step in STEPS:
        if isinstance(step, WriteFile):
            file = folder / "project" / step.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(step.text, encoding="utf-8")
    return Installed(_install_wheel(folder), folder / "project")


def _install_wheel(folder: Path) -> Path:
    """Installs expt's wheel into a new environment; returns the environment's Python.

    All other packages are those of the environment of the tests.
    """
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, folder, ROOT], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    make = [sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")]
    subprocess.run(make, check=True, capture_output=True)
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = (folder / "venv/lib").glob("python3.*/site-packages")
    # Only now, or pip would find the expt of the tests installed already. A .pth file in the added
    # folder has no effect, so an editable expt there is not found.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def test_code_of_the_wheel_is_used(installed: Installed) -> None:
    script = "import expt, expt.config.location as l; print(expt.__file__, l.config_directory())"
    done = installed.run(f"python -c '{script}'")
    assert done.returncode == 0, done.stdout
    for path in done.stdout.split():
        assert Path(path).is_relative_to(installed.python.parents[1])


def test_first_commands_work_with_the_wheel(installed: Installed) -> None:
    commands = [step for step in STEPS if isinstance(step, RunCommand)]
    settings = "".join(f"{one.command}; " for one in commands if one.command.startswith("export "))
    others = (one for one in commands if not one.command.startswith("export "))
    for step in islice(others, NUM_COMMANDS):
        done = installed.run(settings + step.command)
        assert done.returncode == step.code, done.stdout
        assert is_shown(step.shown, done.stdout), done.stdout
