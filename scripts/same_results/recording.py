"""Runs commands with the code of a checkout, and records what they print and leave."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scripts.same_results.commands import Command
from scripts.same_results.data import write_files
from scripts.same_results.reading import read_folder

PROJECT = Path(__file__).parents[2] / "tests" / "user_project"
FORMAT = 2
"""Of the records: those of another one are made anew."""
_LONGEST = 300.0  # seconds
_output = threading.Lock()


def record(commands: Sequence[Command], checkout: Path, folder: Path, jobs: int) -> None:
    """Runs the commands whose records are not there yet.

    Args:
        commands: Those of one folder come one after another.
        checkout: Holds `src`.
        folder: Gets a file `NAME.json` for each command.
        jobs: How many commands run at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chains: dict[str, list[Command]] = {}
    for command in commands:
        chains.setdefault(command.folder, []).append(command)
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda chain: _record_chain(chain, checkout, folder), chains.values()))


def record_file(folder: Path, command: Command) -> Path:
    """Returns the file of a command's record."""
    return folder / f"{command.name.replace('/', '_')}.json"


def _record_chain(chain: Sequence[Command], checkout: Path, folder: Path) -> None:
    done = [_load(record_file(folder, command)) for command in chain]
    if all(
        content is not None
        and (content.get("format"), content["arguments"]) == (FORMAT, list(command.arguments))
        for content, command in zip(done, chain, strict=True)
    ):
        return
    with tempfile.TemporaryDirectory(prefix="same_results_") as place:
        project = Path(place).resolve() / "project"
        shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
        write_files(project)
        for command in chain:
            content = _run(command, checkout, project)
            record_file(folder, command).write_text(json.dumps(content, indent=1))
            with _output:
                print(f"  {content['seconds']:5.0f} s  {command.name}", flush=True)


def _load(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text()) if file.exists() else None


def _run(command: Command, checkout: Path, project: Path) -> dict[str, Any]:
    for name in command.remove:
        path = project / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", f"expt.{command.arguments[0]}", *command.arguments[1:]],
        cwd=project,
        env=_environment(checkout, project),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if command.interrupt is not None:
        directory, step = command.interrupt
        _signal_at(process, project / directory / "metrics.jsonl", step, command.number)
    out, error = process.communicate(timeout=_LONGEST)
    return {
        "format": FORMAT,
        "arguments": list(command.arguments),
        "interrupted": command.interrupt is not None,
        "seconds": round(time.perf_counter() - began, 1),
        "code": process.returncode,
        "out": _lines(out, checkout, project),
        "error": _lines(error, checkout, project),
        "files": read_folder(project),
    }


def _signal_at(process: "subprocess.Popen[str]", journal: Path, step: int, number: int) -> None:
    """Sends a signal once the journal has a step."""
    while process.poll() is None:
        if journal.exists() and f'{{"step": {step}, ' in journal.read_text():
            process.send_signal(number)
            return
        time.sleep(0.0005)


def _environment(checkout: Path, project: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(project.parent),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "80",
        "PYTHONPATH": str(checkout / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "EXPT_ALLOW": "my_project",
    }


def _lines(text: str, checkout: Path, project: Path) -> list[str]:
    for before, now in (
        (str(project), "PROJECT"),
        (os.path.relpath(sys.prefix, project), "PYTHON"),
        (str(checkout), "CHECKOUT"),
    ):
        text = text.replace(before, now)
    return text.splitlines()
