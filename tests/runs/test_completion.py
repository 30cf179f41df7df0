"""Tests of shell completion: the answers of expt, and their use by real shells."""

import json
import os
import pty
import re
import select
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from expt.cli import COMMANDS, program
from expt.errors import UserError
from expt.runs.completion import complete, shell_completion

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose outputs contain a run and a sweep with one job."""
    for place, name in (("runs/day/08_a", "mlp"), ("sweeps/day/09_b/0", "cnn-s0")):
        directory = tmp_path / "outputs" / place
        directory.mkdir(parents=True)
        record = {"status": "FINISHED", "started": 1.0, "run_name": name}
        (directory / "run.json").write_text(json.dumps(record))
    plan = {"sweep_name": "seed", "status": "RUNNING", "started": 1.0}
    (tmp_path / "outputs/sweeps/day/09_b/sweep.json").write_text(json.dumps(plan))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        *(("expt ", list(COMMANDS)), ("expt ex", ["export"]), ("/bin/expt ex", ["export"])),
        *(("python -m expt ex", ["export"]), ("python3 -m expt.ex", ["expt.export"])),
        *(("python -m x", []), ("python x.py ", []), ("python ", []), ("", [])),
        ("python -m expt.lis", ["expt.list"]),
        ("expt evaluate ", ["latest", "best", "mlp", "cnn-s0"]),
        ("python -m expt.export c", ["cnn-s0"]),
        ("expt export mlp ", []),
        ("expt diff mlp c", ["cnn-s0"]),
        ("expt predict best@", ["best@latest", "best@seed"]),
        ("expt resume s", ["seed"]),
        ("expt list ", ["latest", "seed"]),
        ("expt compare act=relu s", ["seed"]),
        ("expt evaluate output_dir=nowhere ", ["latest", "best"]),
        ("expt run --rerun m", ["mlp"]),
        ("expt completion ", ["bash", "zsh"]),
        ("expt run act=leaky", ["act=leaky_relu"]),
        ("expt run optimizer.learn", ["optimizer.learning_rate="]),
        ("expt run -m act=relu,ta", ["act=relu,tanh"]),
        ("expt gradients ", ["act=", "loss=", "optimizer="]),
        ("expt gradients act=relu,ta", ["act=relu,tanh"]),
        ("expt gradients loss=al", ["loss=all"]),
        ("expt run model=cnn model.kern", ["model.kernel_size="]),
        ("python -m expt.verify schedule=cosine_", ["schedule=cosine_warmup"]),
        ("expt run act=x nowhere.", []),
    ],
)
@pytest.mark.usefixtures("folder")
def test_completions_of_last_word(line: str, expected: list[str]) -> None:
    assert sorted(complete(line, COMMANDS)) == sorted(expected)


@pytest.mark.parametrize("arguments", [[], ["install=fish"], ["reinstall=bash"], ["bash"]])
def test_unsupported_shells_are_user_errors(arguments: list[str]) -> None:
    with pytest.raises(UserError, match="bash"):
        shell_completion(arguments, COMMANDS, "expt run")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_of_python_is_replaced_only_if_expt_is_called_by_it(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for started, names in (("expt", "expt"), ("__main__.py", "expt python python3")):
        monkeypatch.setattr(sys, "argv", [started])
        shell_completion([f"install={shell}"], COMMANDS, program("run"))
        assert capsys.readouterr().out.splitlines()[-1].endswith(f"_expt_complete {names}")


class Terminal:
    """An interactive shell in a pseudo-terminal, with the prompt `> `."""

    def __init__(self, shell: str, folder: Path) -> None:
        flags = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[shell]
        environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCE),
            "HOME": str(folder),
            "ZDOTDIR": str(folder),
            "TERM": "dumb",
        }
        self.process, self._terminal = pty.fork()
        if self.process == 0:
            os.chdir(folder)
            os.execvpe(shell, [shell, *flags, "-i"], environment)  # noqa: S606
        self._output = ""

    def wait_for(self, text: str) -> str:
        """Reads the output up to a text, and returns the output before that text."""
        end = time.monotonic() + 60
        while text not in self._output:
            if not select.select([self._terminal], [], [], max(end - time.monotonic(), 0))[0]:
                raise AssertionError(f"expected {text!r}, got {self._output!r}")
            self._output += os.read(self._terminal, 4096).decode()
            self._output = re.sub(r"\x1b\[\?2004[hl]|[\a\b]", "", self._output)
        before, _, self._output = self._output.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self.process, 0)


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    """A shell with completion set up as a user would do, and an `expt` as a wheel installs it."""
    shell: str = request.param
    if shutil.which(shell) is None and not os.environ.get("CI"):
        pytest.skip(f"{shell} is not installed")
    (folder / "bin").mkdir()
    scripts = {
        "expt": f"exec {sys.executable} -c \"import sys; sys.argv[0] = 'expt'; "
        'from expt.cli import main; main()" "$@"',
        "python": f'exec {sys.executable} "$@"',
    }
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    (folder / "data.csv").touch()
    terminal = Terminal(shell, folder)
    terminal.type(f'PS1="> "; eval "$(python -m expt completion {shell})"; echo rea""dy\n')
    terminal.wait_for("ready")
    terminal.wait_for("> ")
    yield terminal
    terminal.close()


def test_tab_completes_in_real_shell(terminal: Terminal) -> None:
    for typed, added in (
        ("expt eval", "uate "),
        ("expt evaluate m", "lp "),
        ("expt evaluate best@s", "eed "),
        ("expt run optimizer.learn", "ing_rate="),
        ("expt run act=leak", "y_relu "),
        ("expt run -m act=relu,leak", "y_relu "),
        ("expt run data.path=da", "ta.csv"),
        ("python -m expt.run act=leak", "y_relu "),
        ("python da", "ta.csv"),
    ):
        terminal.type(f"{typed}\t")
        terminal.wait_for(added.strip())
        terminal.type("#")  # marks the end of the completion, to see whether a space was added
        between = terminal.wait_for("#")  # zsh draws the space twice
        if (
            added == "ta.csv"
        ):  # completed by the shell itself; in bash, our function decides about spaces
            assert not between.strip(), typed
        else:
            assert set(between) == set(added[len(added.rstrip()) :]), typed
        terminal.type("\x15")
