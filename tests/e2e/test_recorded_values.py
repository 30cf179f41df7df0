"""One real run by the command line; journal, TensorBoard and MLflow must agree on every value."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow_helpers import assert_final_values, is_final, renamed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from conftest import Command, Finished
from expt.record.journal import read_journal
from expt.record.tensorboard import BEST
from resume.stores import full_name

Values = dict[str, dict[int, np.float32]]
EPOCHS, STEPS_PER_EPOCH = 4, 19


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture(scope="module")
def finished(folder: Path, run_command: Command) -> Finished:
    return run_command(
        "loss=crossentropy",
        "act=relu",
        f"loop.epochs={EPOCHS}",
        "loop.image_every=2ep",
        "schedule=cosine",
        folder=folder,
    )


@pytest.fixture(scope="module")
def directory(finished: Finished, folder: Path) -> Path:
    assert finished.code == 0, finished.error
    (directory,) = (folder / "outputs/runs").glob("*/*")
    return directory


@pytest.fixture(scope="module")
def record(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


@pytest.fixture(scope="module")
def journal(directory: Path) -> Values:
    values: Values = {}
    for line in read_journal(directory / "metrics.jsonl"):
        for name in (key for key in line if "/" in key):
            assert line["step"] not in values.setdefault(name, {})
            values[name][line["step"]] = np.float32(line[name])
    return values


@pytest.fixture(scope="module")
def mlflow_client(folder: Path) -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")


def test_run_prints_progress_outcome_and_where_to_look(finished: Finished) -> None:
    lines = finished.out.splitlines()
    assert lines[0] == "composing the config …"
    (run,) = [line for line in lines if line.startswith("run ")]
    assert re.fullmatch(r"run \S+ in outputs/runs/\S+", run)
    assert "starting TensorFlow …" in lines[: lines.index(run)]
    assert sum(line.startswith("epoch") for line in lines) == EPOCHS
    assert any(
        line.startswith(f"FINISHED after {EPOCHS * STEPS_PER_EPOCH} steps") for line in lines
    )
    assert lines[-1].endswith(" -m expt.ui starts TensorBoard and MLflow")
    assert finished.error == ""


def test_run_directory_has_all_documented_files(directory: Path) -> None:
    names = {path.name for path in directory.iterdir()}
    expected = {".hydra", "run.json", "metrics.jsonl", "train", "val", "images"}
    assert expected | {"model.keras", "run.log"} <= names
    assert not [name for name in names if name.startswith("partial")]


def test_journal_has_every_step_once(journal: Values) -> None:
    steps = list(range(1, EPOCHS * STEPS_PER_EPOCH + 1))
    for name in ("loss", "accuracy", "grad_norm", "learning_rate"):
        assert list(journal[f"train/{name}"]) == steps
    evaluated = steps[STEPS_PER_EPOCH - 1 :: STEPS_PER_EPOCH]
    for name in ("val/loss", "val/accuracy", "perf/steps_per_s", "perf/examples_per_s"):
        assert list(journal[name]) == evaluated
    assert list(journal["test/accuracy"]) == steps[-1:]


def test_tensorboard_has_the_same_values(directory: Path, journal: Values) -> None:
    found: Values = {}
    for folder in ("train", "val"):
        events = EventAccumulator(str(directory / folder), size_guidance={"scalars": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            name = full_name(folder, tag)
            found[name] = {e.step: np.float32(e.value) for e in events.Scalars(tag)}
    # TensorBoard's HParams need the best values as separate tags. In the journal they are the
    # values of the step at which they were reached.
    assert found.pop(f"val/{BEST}best/step") == {76: 76.0}
    names = ("val/accuracy", "val/loss")
    best = {name: found.pop(f"val/{BEST}best/{name}") for name in names}
    assert found == journal
    record = json.loads((directory / "run.json").read_text())
    assert best == {name: {76: np.float32(record["best"][name])} for name in best}


def test_mlflow_has_the_same_values(
    mlflow_client: Any, record: dict[str, Any], journal: Values
) -> None:
    run_id = record["mlflow"]["run_id"]
    found = {
        name: {m.step: np.float32(m.value) for m in mlflow_client.get_metric_history(run_id, name)}
        for name in mlflow_client.get_run(run_id).data.metrics
        if not is_final(name)
    }
    assert found == {renamed(name): values for name, values in journal.items()}
    assert_final_values(mlflow_client.get_run(run_id).data.metrics, record)


def test_times_agree_to_the_millisecond(
    mlflow_client: Any, record: dict[str, Any], directory: Path
) -> None:
    history = mlflow_client.get_metric_history(record["mlflow"]["run_id"], "train/loss")
    stamps = {metric.step: metric.timestamp for metric in history}
    events = EventAccumulator(str(directory / "train"), size_guidance={"scalars": 0})
    events.Reload()
    walls = {event.step: event.wall_time for event in events.Scalars("loss")}
    times = [
        (line["step"], line["time"])
        for line in read_journal(directory / "metrics.jsonl")
        if "train/loss" in line
    ]
    assert [time for _, time in times] == sorted(time for _, time in times)
    for step, time in times:
        assert stamps[step] == pytest.approx(time * 1000, abs=1)
        assert walls[step] == pytest.approx(time, abs=1e-3)


def test_record_contains_everything_about_the_origin_of_the_run(
    record: dict[str, Any], journal: Values
) -> None:
    assert record["status"] == "FINISHED"
    assert record["error"] is None
    assert record["overrides"][:2] == ["loss=crossentropy", "act=relu"]
    assert record["choices"]["schedule"] == "cosine"
    assert len({record["run_hash"], record["variant_hash"]}) == 2
    assert record["run_name"].startswith("mlp-cosine-")
    assert record["directory_name"].endswith(record["run_hash"][:8])
    assert record["data"]["examples"] == {"train": 1257, "val": 270, "test": 270}
    assert record["parameters"] == 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10
    last = EPOCHS * STEPS_PER_EPOCH
    for name in ("train/loss", "val/accuracy", "test/loss"):
        assert np.float32(record["final"][name]) == journal[name][last]
    best = record["best"]
    assert np.float32(best["val/loss"]) == min(journal["val/loss"].values())
    assert np.float32(best["val/accuracy"]) == journal["val/accuracy"][best["step"]]


def test_mlflow_run_has_params_tags_data_and_artifacts(
    mlflow_client: Any, record: dict[str, Any]
) -> None:
    run = mlflow_client.get_run(record["mlflow"]["run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == record["run_name"]
    assert run.data.params["act"] == "relu"
    assert "model.units" not in run.data.params  # has its default, so it is only a tag
    assert run.data.tags["mlflow.expt.model.units"] == "[128, 128]"
    assert run.data.params["optimizer.learning_rate"] == "0.001"
    assert run.data.tags["run_hash"] == record["run_hash"]
    assert run.data.tags["variant_hash"] == record["variant_hash"]
    assert run.data.tags["version.tensorflow"] == record["versions"]["tensorflow"]
    (given,) = run.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("digits", record["data"]["fingerprint"])
    artifacts = {item.path for item in mlflow_client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "images"} <= artifacts
    images = [item.path for item in mlflow_client.list_artifacts(run.info.run_id, "images")]
    assert sum("predictions" in path and path.endswith(".png") for path in images) == 3


def test_tensorboard_has_images_config_and_hparams(directory: Path) -> None:
    validation = EventAccumulator(str(directory / "val"), size_guidance={"images": 0})
    validation.Reload()
    kinds = {"val_predictions", "val_mistakes", "val_confusion"}
    assert set(validation.Tags()["images"]) == kinds
    assert [e.step for e in validation.Images("val_predictions")] == [0, 38, 76]
    (text,) = validation.Tensors("config")
    assert b"keras.optimizers.Adam" in text.tensor_proto.string_val[0]
    assert validation.summary_metadata["config"].plugin_data.plugin_name == "text"
    content = validation.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    start = HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["act"].string_value == "relu"
    assert start.hparams["optimizer.learning_rate"].number_value == 0.001
    assert start.hparams["loop.epochs"].number_value == EPOCHS


def test_images_are_also_saved_as_files(directory: Path) -> None:
    names = sorted(path.name for path in (directory / "images").iterdir())
    kinds = ("confusion", "mistakes", "predictions")
    assert names == [f"val_{kind}_{step:07d}.png" for kind in kinds for step in (0, 38, 76)]


def test_logged_model_has_the_predictions_of_the_run(
    folder: Path, record: dict[str, Any], directory: Path
) -> None:
    script = f"""
import os
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow, numpy as np, keras
from expt.parts.data.bundled import Digits
mlflow.set_tracking_uri("sqlite:///{folder}/outputs/mlflow.db")
model = mlflow.pyfunc.load_model("runs:/{record["mlflow"]["run_id"]}/model")
test = Digits(batch_size=64).load().test
predicted = model.predict(test.inputs)
own = keras.models.load_model("{directory}/model.keras")(test.inputs)
np.testing.assert_allclose(predicted.drop(columns="class"), own, rtol=1e-5, atol=1e-5)
print("accuracy", (predicted["class"].astype(int) == test.targets).mean())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.split()[-1])
    assert accuracy == pytest.approx(record["final"]["test/accuracy"], abs=1e-6)
