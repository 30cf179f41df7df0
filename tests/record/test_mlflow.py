"""The store itself, in this process; tests/e2e has it behind the recorder's own process."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_helpers import make_run

from expt.record.mlflow import MLflowStore, store_uri
from expt.record.recorder import Scalars
from expt.record.run import Status


def _client(folder: Path) -> Any:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    return MlflowClient(store_uri(folder))


def test_address_is_the_users_or_the_embedded_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert store_uri(tmp_path) == "http://127.0.0.1:5000"


@pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED, Status.KILLED])
def test_values_and_status_are_stored(status: Status, tmp_path: Path) -> None:
    store, run = MLflowStore(), make_run(tmp_path)
    store.open(run)
    count = 1_203  # more than a request holds
    column = np.random.default_rng(0).standard_normal(count).astype(np.float32)
    steps = np.arange(1, count + 1)
    store.write(
        Scalars(
            steps,
            steps,
            steps.astype(np.float64) + 0.5,
            {"train/loss": column, "train/mae": -column},
        )
    )
    store.close(status)
    client = _client(tmp_path)
    stored = client.get_run(run.record["mlflow"]["run_id"])
    assert stored.info.status == status
    assert stored.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert stored.data.tags["git.dirty"] == "True"
    for name, sign in (("train/loss", 1), ("train/mae", -1)):
        history = client.get_metric_history(stored.info.run_id, name)
        assert [metric.step for metric in history] == steps.tolist()
        found = np.array([metric.value for metric in history], np.float32)
        np.testing.assert_array_equal(found, sign * column)
        assert history[0].timestamp == 1_500


def test_long_params_are_cut_and_many_are_sent(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.params = {f"key{number}": "x" * 7_000 for number in range(150)}
    store = MLflowStore()
    store.open(run)
    store.close(Status.FINISHED)
    params = _client(tmp_path).get_run(run.record["mlflow"]["run_id"]).data.params
    assert len(params) == 150
    assert {len(value) for value in params.values()} == {6_000}
