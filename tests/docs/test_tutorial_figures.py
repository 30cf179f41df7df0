"""Tests of the selection of runs in scripts/tutorial_figures.py; the tutorial's page runs it."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from docs.pages_of_docs import ROOT

PARAMS = {
    "act": "relu",
    "loss": "crossentropy",
    "loop.epochs": 10,
    "model.units": [128, 128],
    "optimizer": "adam",
    "optimizer.learning_rate": 0.001,
    "seed": 0,
}


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts/tutorial_figures.py"))


def write_job(directory: Path, **params: Any) -> None:
    directory.mkdir(parents=True)
    record = {"status": "FINISHED", "params": {**PARAMS, **params}}
    (directory / "run.json").write_text(json.dumps(record))
    (directory / "metrics.jsonl").write_text('{"step": 1, "val/loss": 0.5}\n')


def test_runs_of_the_quick_start_are_not_selected(script: dict[str, Any], tmp_path: Path) -> None:
    write_job(tmp_path / "sweeps/day/act/0")
    write_job(tmp_path / "sweeps/day/act/1", seed=1)
    write_job(tmp_path / "sweeps/day/act/2", act="tanh")
    write_job(tmp_path / "sweeps/day/act-loss/0", **{"loop.epochs": 5})
    runs = script["read_runs"](tmp_path)
    assert len(runs) == 4
    found = script["select_runs"](runs, {"act": "relu"})
    assert [(run.params["seed"], run.params["loop.epochs"]) for run in found] == [(0, 10), (1, 10)]


def test_missing_runs_are_named(script: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match=r"No run has .*gelu.*docs/tutorial\.md"):
        script["select_runs"]([], {"act": "gelu"})
