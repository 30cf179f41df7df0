"""The guide "Your own parts" of the README, followed word for word outside of the repository."""

import csv
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import ready_processes
from expt.record.journal import read_journal

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests/user_project"
_INDENT = " " * 4
_SETTING = "export "
_PYTHONPATH = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}


@dataclass
class Guide:
    """What the guide shows.

    Attributes:
        files: The content of each file, by its path.
        commands: Each command, with the lines that it prints; … stands for anything.
    """

    files: dict[str, str] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)


def read_guide() -> Guide:
    """A file is an indented block after a line `PATH`: and a command a line that begins with $."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (section,) = re.findall(r"^## Your own parts\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    guide, before = Guide(), ""
    for block in _blocks(section):
        if not block.startswith(_INDENT):
            before = block
            continue
        lines = [line.removeprefix(_INDENT) for line in block.splitlines()]
        if named := re.fullmatch(r"`(\S+)`:", before):
            guide.files[named[1]] = "".join(f"{line}\n" for line in lines)
        elif lines[0].startswith("$ "):
            for line in lines:
                if line.startswith("$ "):
                    printed = guide.commands.setdefault(line.removeprefix("$ "), [])
                else:
                    printed.append(line)
    return guide


def _blocks(section: str) -> Iterator[str]:
    """Paragraphs, and indented blocks whole, with the empty lines inside of them."""
    block = ""
    for paragraph in re.split(r"\n\n", section.strip()):
        continues = block.startswith(_INDENT) and re.match(rf"\n*{_INDENT}", paragraph)
        if block and not continues:
            yield block
        block = f"{block}\n\n{paragraph}" if continues else paragraph
    yield block


GUIDE = read_guide()


def test_guide_shows_the_project_whole() -> None:
    files = [path for path in PROJECT.rglob("*") if path.suffix in (".py", ".yaml")]
    assert GUIDE.files == {
        path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8") for path in files
    }


def _environment(python: Path) -> dict[str, str]:
    """A user's shell in which `python` is the given one."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return {**kept, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}


def _install_wheel(folder: Path) -> Path:
    """Installs expt's wheel into a new environment that has no editable expt; returns its Python.

    Everything else it takes from the environment of the tests.
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
    # Only now, or pip would take expt for installed. A .pth file in that folder has no effect.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


@dataclass(frozen=True)
class Followed:
    """The project after all commands of the guide.

    Attributes:
        folder: That of the project.
        python: What ran them.
        done: Each command as it ended.
    """

    folder: Path
    python: Path
    done: Mapping[str, subprocess.CompletedProcess[str]]

    def records(self, kind: str) -> list[dict[str, Any]]:
        """The run.json of all runs, or all jobs of sweeps, in the order of their names."""
        files = (self.folder / "outputs" / kind).rglob("run.json")
        records = [json.loads(file.read_text()) | {"folder": file.parent} for file in files]
        return sorted(records, key=lambda record: str(record["folder"]))


@pytest.fixture(scope="module")
def follow(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Followed]:
    """Follows the guide with an expt of some kind, once."""
    return functools.cache(lambda kind: _follow(kind, tmp_path_factory.mktemp(kind)))


# Not itself one of the module: it would be made anew when pytest changes between its parameters.
@pytest.fixture(params=["checkout", "wheel"])
def followed(request: pytest.FixtureRequest, follow: Callable[[str], Followed]) -> Followed:
    return follow(request.param)


def _follow(kind: str, folder: Path) -> Followed:
    python = Path(sys.executable) if kind == "checkout" else _install_wheel(folder)
    project = folder / "project"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    settings, done = "", {}
    for command in GUIDE.commands:
        if command.startswith(_SETTING):
            settings += f"{command}\n"
            continue
        run = _run_ready if kind == "checkout" else _run
        done[command] = run(settings, command, project, _environment(python))
    return Followed(project, python, done)


def _run(
    settings: str, command: str, folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Runs a command as a user's shell does."""
    return subprocess.run(
        ["sh", "-c", settings + command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _run_ready(
    settings: str, command: str, folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Does as `_run`; a command of expt runs in a process that has its imports done."""
    before, is_of_expt, after = command.partition("python -m ")
    if not is_of_expt:
        return _run(settings, command, folder, environment)
    words = [word for word in shlex.split(settings + before) if word != "export"]
    exported = [word.partition("=") for word in words]
    return ready_processes.run(
        [sys.executable, "-m", *shlex.split(after)],
        cwd=folder,
        # The variable names the sources of the tests, which are those of the checkout.
        env={**environment, **{name: value for name, _, value in exported}, **_PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_code_that_runs_is_that_of_the_environment(followed: Followed) -> None:
    script = (
        "import expt, expt.config.location as l; print(expt.__file__); print(l.config_directory())"
    )
    done = subprocess.run(
        ["python", "-c", script],
        cwd=followed.folder,
        env=_environment(followed.python),
        capture_output=True,
        text=True,
        check=True,
    )
    package, conf = map(Path, done.stdout.split())
    if followed.python.is_relative_to(followed.folder.parent):
        environment = followed.python.parents[1]
        assert package.is_relative_to(environment)
        assert conf.is_relative_to(environment)
    else:
        assert (package, conf) == (ROOT / "src/expt/__init__.py", ROOT / "conf")


def test_every_command_prints_what_the_guide_shows(followed: Followed) -> None:
    for command, done in followed.done.items():
        assert (done.returncode, done.stderr) == (0, ""), command
        printed = iter(done.stdout.splitlines())
        for line in GUIDE.commands[command]:
            pattern = ".*".join(map(re.escape, line.split("…")))
            assert any(re.fullmatch(pattern, text.rstrip()) for text in printed), (
                f"{command} did not print {line!r} (in this order) but:\n{done.stdout}"
            )


def test_the_preset_trains_the_users_own_parts(followed: Followed) -> None:
    record, *_ = followed.records("runs")
    assert record["status"] == "FINISHED"
    assert record["name"] == "spirals"
    assert record["data"]["class_names"] == ["red", "green", "blue"]
    assert record["data"]["input_shape"] == [2]
    chosen = {"data": "spirals", "model": "wide", "act": "tanh", "loss": "robust"}
    assert chosen.items() <= record["choices"].items()
    losses = [
        line["train/loss"]
        for line in read_journal(record["folder"] / "metrics.jsonl")
        if "train/loss" in line
    ]
    assert len(losses) == record["final"]["step"]
    assert losses[0] > 0.4
    assert max(losses[-10:]) < 0.1
    # The preset watches a metric of the user's, of which the largest value is the best.
    assert record["best"]["watched"] == "val/certainty"
    values = [
        line["val/certainty"]
        for line in read_journal(record["folder"] / "metrics.jsonl")
        if "val/certainty" in line
    ]
    assert record["best"]["val/certainty"] == pytest.approx(max(values))


def test_evaluation_and_predictions_are_of_that_run(followed: Followed) -> None:
    record, *_ = followed.records("runs")
    (file,) = (record["folder"] / "evaluations").iterdir()
    evaluated = json.loads(file.read_text())
    assert evaluated["metrics"].keys() == {"loss", "accuracy", "certainty"}
    for name, value in evaluated["metrics"].items():
        assert value == pytest.approx(record["final"][f"test/{name}"], rel=1e-4, abs=1e-6)
    with (followed.folder / "predictions.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    # Where the spirals of these classes pass: (0.5, 0) and (0, -0.5).
    assert [row["class"] for row in rows] == ["blue", "green"]
    for row in rows:
        # The loss declares nothing, so what it predicts is not called a probability.
        scores = [float(row[f"score {name}"]) for name in ("red", "green", "blue")]
        assert sum(scores) == pytest.approx(1.0, abs=1e-5)


def test_sweep_varies_the_users_own_keys(followed: Followed) -> None:
    records = followed.records("sweeps")
    assert [record["status"] for record in records] == ["FINISHED", "FINISHED"]
    overrides = [set(record["overrides"]) for record in records]
    assert overrides[0] - overrides[1] == {"loss.q=0.2"}
    assert overrides[1] - overrides[0] == {"loss.q=0.7"}
    noisy, plain = (records[1], followed.records("runs")[0])
    assert noisy["data"]["fingerprint"] != plain["data"]["fingerprint"]
    assert noisy["final"]["test/loss"] > plain["final"]["test/loss"]


def test_a_model_named_on_the_command_line_is_trained(followed: Followed) -> None:
    *_, record = followed.records("runs")
    assert record["status"] == "FINISHED"
    assert record["data"]["name"] == "digits"
    # Two layers of 3, each beside the 64 pixels, then ten logits.
    assert record["parameters"] == (64 + 1) * 3 + (67 + 1) * 3 + (67 + 1) * 10
