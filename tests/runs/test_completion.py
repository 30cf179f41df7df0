"""Completion: what Python answers, and what real shells make of it."""

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
    """A run and a sweep of one, in the working directory's outputs."""
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
        ("expt run model=cnn model.kern", ["model.kernel_size="]),
        ("python -m expt.verify schedule=cosine_", ["schedule=cosine_warmup"]),
        ("expt run act=x nowhere.", []),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_a_word_may_become(line: str, expected: list[str]) -> None:
    assert sorted(complete(line, COMMANDS)) == sorted(expected)


@pytest.mark.parametrize("arguments", [[], ["install=fish"], ["reinstall=bash"], ["bash"]])
def test_other_shells_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match="bash"):
        shell_completion(arguments, COMMANDS, "expt run")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_pythons_own_completion_is_replaced_only_for_those_who_call_expt_by_it(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for started, names in (("expt", "expt"), ("__main__.py", "expt python python3")):
        monkeypatch.setattr(sys, "argv", [started])
        shell_completion([f"install={shell}"], COMMANDS, program("run"))
        assert capsys.readouterr().out.splitlines()[-1].endswith(f"_expt_complete {names}")


class Terminal:
    """An interactive shell; its prompt is `> `."""

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
        self._came = ""

    def wait_for(self, text: str) -> str:
        """Reads up to a text, and returns what came before it."""
        end = time.monotonic() + 60
        while text not in self._came:
            if not select.select([self._terminal], [], [], max(end - time.monotonic(), 0))[0]:
                raise AssertionError(f"{text!r} did not come, but {self._came!r}")
            self._came += os.read(self._terminal, 4096).decode()
            self._came = re.sub(r"\x1b\[\?2004[hl]|[\a\b]", "", self._came)
        before, _, self._came = self._came.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def close(self) -> None:
        os.close(self._terminal)
        os.waitpid(self.process, 0)


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, folder: Path) -> Iterator[Terminal]:
    """A shell with completion as its user sets it up; `expt` is what a wheel would install."""
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


def test_a_tab_in_a_real_shell(terminal: Terminal) -> None:
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
        terminal.type("#")  # right behind what was added: a blank where the word is whole
        between = terminal.wait_for("#")  # zsh draws the blank twice
        if added == "ta.csv":  # the shell's own completion; bash leaves blanks to ours
            assert not between.strip(), typed
        else:
            assert set(between) == set(added[len(added.rstrip()) :]), typed
        terminal.type("\x15")
