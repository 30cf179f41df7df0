"""Custom parts of a user's project: the records of a run with them, and of its evaluation."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ready_processes
from expt.record.journal import read_journal
from expt.record.mlflow.store import prepare_mlflow

PROJECT = Path(__file__).parents[1] / "user_project"
NAME, IMAGE = "weights/first_norm", "weights/first_layer"
HOOKS = "hook=[first_layer,stop_at]"
THRESHOLD = 0.55


@dataclass(frozen=True)
class Trained:
    folder: Path
    directory: Path
    printed: str

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.directory / "run.json").read_text())
        return record


def run(folder: Path, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ready_processes.run(
        [sys.executable, "-m", command, *arguments, "--config-dir", "conf"],
        cwd=folder,
        env={**os.environ, "EXPT_ALLOW": "my_project"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("hooks") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    given = [
        "experiment=spirals",
        HOOKS,
        f"hook.stop_at.value={THRESHOLD}",
        "loop.image_every=null",
    ]
    done = run(folder, "expt.run", *given, "loop.eval_every=3ep", "loop.epochs=40")
    assert done.returncode == 0, done.stderr
    (file,) = (folder / "outputs").rglob("run.json")
    return Trained(folder, file.parent, done.stdout)


def test_run_uses_the_custom_parts(trained: Trained) -> None:
    record = trained.record()
    assert record["data"]["class_names"] == ["red", "green", "blue"]
    assert record["data"]["input_shape"] == [2]
    chosen = {"data": "spirals", "model": "wide", "act": "tanh", "loss": "robust"}
    assert chosen.items() <= record["choices"].items()


def test_custom_metric_selects_the_best_model(trained: Trained) -> None:
    best, metric = trained.record()["best"], "val/certainty"
    journal = read_journal(trained.directory / "metrics.jsonl")
    values = [record[metric] for record in journal if metric in record]
    assert best["watched"] == metric
    assert best[metric] == pytest.approx(max(values))


def test_evaluation_has_the_values_of_the_run(trained: Trained) -> None:
    done = run(trained.folder, "expt.evaluate", "latest")
    assert done.returncode == 0, done.stderr
    (file,) = (trained.directory / "evaluations").iterdir()
    metrics = json.loads(file.read_text())["metrics"]
    assert metrics.keys() == {"loss", "accuracy", "certainty"}
    final = trained.record()["final"]
    for name, value in metrics.items():
        assert value == pytest.approx(final[f"test/{name}"], rel=1e-4, abs=1e-6)


def logged(trained: Trained) -> dict[int, float]:
    records = read_journal(trained.directory / "metrics.jsonl")
    return {record["step"]: record[NAME] for record in records if NAME in record}


def test_journal_has_the_values_of_a_hook_at_its_cadence(trained: Trained) -> None:
    steps, found = trained.record()["final"]["step"], logged(trained)
    journal = list(read_journal(trained.directory / "metrics.jsonl"))
    per_epoch = next(r["step"] for r in journal if r["epoch"] == 2) - 1
    assert list(found) == list(range(per_epoch, steps + 1, per_epoch))
    assert all(0.5 < norm < 50 for norm in found.values())
    assert len(set(found.values())) == len(found)


def test_images_of_a_hook_are_files(trained: Trained) -> None:
    files = sorted((trained.directory / "images").glob("*.png"))
    assert [file.name for file in files] == [
        f"weights_first_layer_{step:07d}.png" for step in logged(trained)
    ]
    (inputs, units) = trained.record()["model_input_shape"][0], pixels_of(files[0].read_bytes())
    assert units.shape[0] == inputs
    assert units.shape[-1] == 3


def pixels_of(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def test_tensorboard_has_values_and_images_of_a_hook(trained: Trained) -> None:
    size = {"scalars": 0, "images": 0, "tensors": 0}
    events = EventAccumulator(str(trained.directory / "val"), size_guidance=size).Reload()
    assert {e.step: e.value for e in events.Scalars(NAME)} == pytest.approx(logged(trained))
    images = events.Images(IMAGE.replace("/", "_"))
    assert [image.step for image in images] == list(logged(trained))
    file = trained.directory / "images" / f"weights_first_layer_{images[-1].step:07d}.png"
    np.testing.assert_array_equal(
        pixels_of(images[-1].encoded_image_string), pixels_of(file.read_bytes())
    )


def test_mlflow_has_values_and_images_of_a_hook(trained: Trained) -> None:
    prepare_mlflow()
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{trained.folder}/outputs/mlflow.db")
    run_id = trained.record()["mlflow"]["run_id"]
    history = client.get_metric_history(run_id, NAME)
    assert {metric.step: metric.value for metric in history} == pytest.approx(logged(trained))
    names = [file.path for file in client.list_artifacts(run_id, "images")]
    assert any("first_layer" in name for name in names)


def test_hook_ends_training(trained: Trained) -> None:
    """The hook runs between evaluations of the run; the step at which it stops is evaluated."""
    record = trained.record()
    assert record["status"] == "FINISHED"
    assert record["stopped"] == f"val/accuracy reached {THRESHOLD}"
    assert record["final"]["step"] % 10 == 0
    assert record["final"]["val/accuracy"] >= THRESHOLD
    last = [r for r in read_journal(trained.directory / "metrics.jsonl") if "val/accuracy" in r][-1]
    assert last["step"] == record["final"]["step"]
    assert f"stopped early: val/accuracy reached {THRESHOLD}" in trained.printed


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("hook.stop_at.every=often", r"hook\.stop_at\.every: 'often' is not a cadence"),
        ("~hook.stop_at.every", r"hook\.stop_at has no cadence\. Add every: 1ep"),
        ("hook.stop_at._target_=os.system", r"hook\.stop_at\._target_=os\.system: not allowed"),
        ("+hook.stop_at.above=1", r"hook\.stop_at\.above: StopAt has no such argument"),
    ],
)
def test_error_in_a_custom_part_is_reported(trained: Trained, given: str, message: str) -> None:
    done = run(trained.folder, "expt.run", "experiment=spirals", HOOKS, given)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
