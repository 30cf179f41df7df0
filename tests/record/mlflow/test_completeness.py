"""The hash of a complete copy changes with the run, the store and the code."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from mlflow_helpers import client_of

from expt.record.mlflow import completeness as mlflow_complete
from expt.record.mlflow.completeness import completion_hash, stored_runs
from expt.record.mlflow.store import store_uri
from expt.runs.record_parts import MLflowIds
from expt.runs.records import RunRecord

RECORD: dict[str, Any] = {"status": "FINISHED", "ended": 3.0, "best": {"val/loss": float("nan")}}


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Creates a folder with a run and its MLflow run; returns it and the content of run.json."""
    outputs = tmp_path_factory.mktemp("store")
    client = client_of(store_uri(outputs))
    artifacts = (outputs / "mlartifacts").as_uri()
    experiment = client.create_experiment("default", artifact_location=artifacts)
    run_id = client.create_run(experiment, tags={"expt.id": "1", "mine": "x"}).info.run_id
    client.log_metric(run_id, "val/loss", 0.5, step=3)
    client.log_param(run_id, "seed", 0)
    client.log_text(run_id, "layers", "layers.md")
    client.create_logged_model(experiment, name="model", source_run_id=run_id)
    client.set_terminated(run_id, "FINISHED", 3_000)
    directory = outputs / "run"
    (directory / "images").mkdir(parents=True)
    for name in ("metrics.jsonl", "model.keras", "images/a.png"):
        (directory / name).write_text(name)
    return outputs, {**RECORD, "mlflow": {"run_id": run_id, "experiment_id": experiment}}


def hash_of(outputs: Path, record: dict[str, Any]) -> str | None:
    given = RunRecord.of(record)
    return completion_hash(outputs / "run", given, stored_runs(outputs, [ids(record)]))


def ids(record: dict[str, Any]) -> MLflowIds:
    return MLflowIds.of(record["mlflow"])


def test_hash_is_the_same_for_a_record_that_is_read_back(
    mirrored: tuple[Path, dict[str, Any]],
) -> None:
    outputs, record = mirrored
    hashed = hash_of(outputs, record)
    assert hashed is not None
    later = {**record, "closed": True, "mlflow": {**record["mlflow"], "complete": hashed}}
    assert hash_of(outputs, json.loads(json.dumps(later))) == hashed
    assert hash_of(outputs, {**record, "status": "KILLED"}) != hashed


@pytest.mark.parametrize("name", ["metrics.jsonl", "model.keras", "images/a.png"])
def test_changed_file_changes_the_hash(mirrored: tuple[Path, dict[str, Any]], name: str) -> None:
    outputs, record = mirrored
    before, file = hash_of(outputs, record), outputs / "run" / name
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    os.utime(file, ns=(times[0], times[1] + 1))
    assert hash_of(outputs, record) not in (before, None)
    os.utime(file, ns=times)
    assert hash_of(outputs, record) == before


Change = Callable[[Any, str, Path], object]
CHANGES: dict[str, Change] = {
    "value": lambda client, run_id, _: client.log_metric(run_id, "val/loss", 0.4, step=4),
    "param": lambda client, run_id, _: client.log_param(run_id, "lr", 0.1),
    "tag": lambda client, run_id, _: client.set_tag(run_id, "expt.described", "x"),
    "status": lambda client, run_id, _: client.set_terminated(run_id, "FAILED", 3_000),
    "file": lambda _, run_id, outputs: (
        outputs / f"mlartifacts/{run_id}/artifacts/layers.md"
    ).unlink(),
    "model": lambda client, run_id, _: client.delete_logged_model(
        client.search_logged_models(["1"], f"source_run_id = '{run_id}'")[0].model_id
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_in_the_store_changes_the_hash(
    mirrored: tuple[Path, dict[str, Any]], tmp_path: Path, change: str
) -> None:
    outputs, record = mirrored[0], mirrored[1]
    before = hash_of(outputs, record)
    saved = tmp_path / "saved"
    shutil.copytree(outputs, saved)
    try:
        CHANGES[change](client_of(store_uri(outputs)), record["mlflow"]["run_id"], outputs)
        assert hash_of(outputs, record) not in (before, None)
    finally:  # the folder is shared by all tests of this module
        shutil.copytree(saved, outputs, dirs_exist_ok=True)
    assert hash_of(outputs, record) == before


def test_tag_of_a_user_does_not_change_the_hash(mirrored: tuple[Path, dict[str, Any]]) -> None:
    outputs, record = mirrored
    before = hash_of(outputs, record)
    client_of(store_uri(outputs)).set_tag(record["mlflow"]["run_id"], "mine", "y")
    assert hash_of(outputs, record) == before


def test_deleted_or_unknown_run_is_never_complete(
    mirrored: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    outputs, record = mirrored
    shutil.copyfile(outputs / "mlflow.db", tmp_path / "mlflow.db")
    assert (
        hash_of(outputs, {**record, "mlflow": {"run_id": "0" * 32, "experiment_id": "1"}}) is None
    )
    assert stored_runs(tmp_path / "nowhere", [ids(record)]) == {}
    with closing(connect(tmp_path / "mlflow.db")) as store, store:
        store.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    assert stored_runs(tmp_path, [ids(record)]) == {}
    with closing(connect(tmp_path / "mlflow.db")) as store, store:
        store.execute("UPDATE runs SET lifecycle_stage = 'active'")
        store.execute("UPDATE experiments SET lifecycle_stage = 'deleted'")
    assert stored_runs(tmp_path, [ids(record)]) == {}


def test_changed_code_changes_the_hash(
    mirrored: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, record = mirrored
    before = hash_of(outputs, record)
    monkeypatch.setattr(mlflow_complete, "_code", lambda: "another")
    assert hash_of(outputs, record) != before
