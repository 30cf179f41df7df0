"""Starts sweeps of a small project as processes, and reads their records."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import pytest
from mlflow_helpers import client_of

import ready_processes
from resume.interrupting import journal

PROJECT = Path(__file__).parent / "sweep_project"
TINY = ("model.units=[8]", "loop.epochs=3", "loop.image_every=null")
LONGEST = 240.0  # seconds


def new_project(folder: Path) -> Path:
    """Copies the project into a folder."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT, folder, ignore=ignored, dirs_exist_ok=True)
    return folder


@contextmanager
def started(
    folder: Path, *arguments: str, command: str = "run", is_fresh: bool = False
) -> "Iterator[subprocess.Popen[str]]":
    """Starts a command in a project, and kills it at the end of the block if it still runs.

    Args:
        folder: The folder of the project.
        *arguments: The arguments of the command.
        command: The name of the command.
        is_fresh: Whether to start a new interpreter, as a user does. By default, the process is
            forked from one that has imported TensorFlow, which is faster.
    """
    start = subprocess.Popen if is_fresh else ready_processes.Popen
    process = start(
        [sys.executable, "-m", f"expt.{command}", *arguments],
        cwd=folder,
        env={**os.environ, "EXPT_ALLOW": "troubled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def finish(
    folder: Path, *arguments: str, command: str = "run", is_fresh: bool = False
) -> tuple[int, str]:
    """Runs a command in a project; returns its exit code and all that it printed."""
    with started(folder, *arguments, command=command, is_fresh=is_fresh) as process:
        output, _ = process.communicate(timeout=LONGEST)
        return process.returncode, output


def sweep_arguments(*overrides: str) -> list[str]:
    return ["-m", "--config-dir", "conf", *TINY, *overrides]


def sweep_of(folder: Path) -> Path:
    """The only sweep of a project."""
    (directory,) = folder.glob("outputs/sweeps/*/*")
    return directory


def plan_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((sweep_of(folder) / "sweep.json").read_text())
    return content


def statuses(folder: Path) -> list[str]:
    return [job["status"] for job in plan_of(folder)["jobs"]]


def jobs_of(folder: Path) -> list[Path]:
    return [sweep_of(folder) / job["directory"] for job in plan_of(folder)["jobs"]]


def record_of(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def until(happened: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    """Waits until something has happened while a process lives."""
    deadline = time.monotonic() + LONGEST
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(process.communicate()[0])
        time.sleep(0.02)


def is_training(folder: Path) -> bool:
    """Whether a job of the project's sweep has recorded a step."""
    return any(file.stat().st_size for file in folder.glob("outputs/sweeps/*/*/*/metrics.jsonl"))


def until_gone(processes: list[psutil.Process]) -> None:
    """Waits until processes have ended that are not children of this one."""
    assert psutil.wait_procs(processes, timeout=30)[1] == []


def kill(process_file: Path) -> None:
    os.kill(int(process_file.read_text()), signal.SIGKILL)


def mlflow_sweep(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Returns the MLflow run of the sweep, and those of its jobs by the names of directories."""
    client = client_of(f"sqlite:///{folder}/outputs/mlflow.db")
    sweep = plan_of(folder)
    (experiment,) = client.search_experiments(filter_string="name = 'expt'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags["expt.id"] == sweep["id"]]
    children = {
        Path(run.data.tags["run_directory"]).name: run
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert len(runs) == len(children) + 1
    return parent, children


def assert_same_run(directory: Path, expected: Path) -> None:
    """Asserts that two runs have the same journal and model, bit for bit."""
    assert journal(directory) == journal(expected)
    models = [keras.saving.load_model(each / "model.keras") for each in (directory, expected)]
    weights, reference = (model.get_weights() for model in models)
    assert len(weights) == len(reference) > 0
    for array, other in zip(weights, reference, strict=True):
        np.testing.assert_array_equal(array, other, strict=True)
