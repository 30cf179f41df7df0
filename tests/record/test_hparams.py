import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from record_helpers import make_run

from expt.config.quoting import values_by_key
from expt.record.hparams import hparams
from expt.runs.run import Run

COMMON = {
    *("act", "data", "loss", "model", "optimizer", "schedule"),
    *("seed", "data.batch_size", "optimizer.learning_rate", "loop.epochs"),
}


def _run(directory: Path, overrides: list[str], params: Mapping[str, Any]) -> Run:
    directory.mkdir(parents=True)
    run = make_run(directory)
    run.params = {"act": "relu", "loss": "mse", "seed": 3, "data.batch_size": 64, **params}
    choices = {"act": "relu", "loss": "mse"}
    run.record = run.record.updated({"overrides": overrides, "choices": choices})
    return run


def _sweep(folder: Path, jobs: Mapping[str, list[str]]) -> Path:
    entry: dict[str, Any] = {
        "run_hash": "0",
        "choices": {},
        "status": "PENDING",
        "error": None,
        "reused": None,
    }
    plan = [{"directory": name, "overrides": job, **entry} for name, job in jobs.items()]
    folder.mkdir()
    record = {"status": "RUNNING", "started": 1.0, "jobs": plan}
    (folder / "sweep.json").write_text(json.dumps(record))
    return folder


def test_run_of_a_sweep_has_the_parameters_that_vary(tmp_path: Path) -> None:
    jobs = {
        "0_a": ["loss=crossentropy", "loss.label_smoothing=0.1", "model.units=[8]", "loop.steps=9"],
        "1_b": ["loss=mse", "model.units=[1,2]", "loop.steps=9"],
    }
    sweep = _sweep(tmp_path / "sweep", jobs)
    # `loop.steps` is the same in both jobs, so it has no column.
    smoothed = {"loss.label_smoothing": 0.1, "model.units": [8], "loop.steps": 9}
    one = hparams(_run(sweep / "0_a", jobs["0_a"], smoothed))
    other = hparams(_run(sweep / "1_b", jobs["1_b"], {"model.units": [1, 2], "loop.steps": 9}))
    assert set(one) == set(other) == {"loss.label_smoothing", "model.units"} | COMMON
    assert (one["loss.label_smoothing"], other["loss.label_smoothing"]) == (0.1, "none")
    assert other["model.units"] == "[1, 2]"
    assert (other["seed"], other["data.batch_size"], other["loop.epochs"]) == (3, 64, "none")


def test_single_run_has_the_parameters_of_its_overrides(tmp_path: Path) -> None:
    overrides = ["act=relu", "+model.depth=2", "loop.steps=null", "output_dir=there", "~probe"]
    params = {"model.depth": 2, "loop.steps": None, "model.units": [1]}
    shown = hparams(_run(tmp_path / "run", overrides, params))
    assert set(shown) == {"model.depth", "loop.steps", "probe"} | COMMON
    assert (shown["model.depth"], shown["loop.steps"]) == (2, "null")


def test_target_is_shown_as_it_was_typed(tmp_path: Path) -> None:
    shown = hparams(_run(tmp_path / "run", ["model._target_=mine.make"], {}))
    assert shown["model._target_"] == "mine.make"


def test_run_that_is_not_in_the_plan_is_a_single_run(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path / "sweep", {"0_a": ["loop.steps=1"], "1_b": ["loop.steps=2"]})
    assert set(hparams(_run(sweep / "other", [], {}))) == COMMON


def test_plan_in_which_nothing_varies(tmp_path: Path) -> None:
    sweep = _sweep(tmp_path / "sweep", {"0_a": ["loop.steps=1"]})
    assert set(hparams(_run(sweep / "0_a", ["loop.steps=1"], {}))) == COMMON


def test_values_of_overrides() -> None:
    assert values_by_key(["a=b=c", "+d.e=1", "++f=", "~g"]) == {
        "a": "b=c",
        "d.e": "1",
        "f": "",
        "g": "",
    }
    assert values_by_key(["a='petal width (cm)'", 'b="it\'s"']) == {
        "a": "petal width (cm)",
        "b": "it's",
    }
