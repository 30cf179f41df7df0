"""The MLflow run of a sweep has the final results once, even if jobs are retried."""

from pathlib import Path
from typing import Any

import pytest
from mlflow_helpers import client_of, id_of
from record_helpers import make_run

from expt.record.mlflow.recorder import store_uri
from expt.runs.run import Run, SweepAsRun


@pytest.fixture
def sweep(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    facts = {"id": "5678", "name": "act-lr", "number_of_jobs": 3, "ended": 1_795_400_060.25}
    run.record = SweepAsRun.of({**run.record.to_mapping(), **facts})
    return run


def _finish(sweep: Run, status: str, metrics: dict[str, float], params: dict[str, str]) -> Any:
    """Mirrors the end of a sweep twice; returns its MLflow run."""
    client_of(store_uri(sweep.output_dir))
    from expt.record.mlflow.sweep_mirror import SweepMirror

    sweep.update(status=status, results={"metrics": metrics, "params": params})
    for _ in range(2):
        SweepMirror(sweep, lambda _seconds: None).finish()
    client = client_of(store_uri(sweep.output_dir))
    return client.get_run(id_of(sweep))


def _times(sweep: Run, name: str) -> int:
    client = client_of(store_uri(sweep.output_dir))
    return len(client.get_metric_history(id_of(sweep), name))


def test_results_are_those_of_the_end_after_a_retry(sweep: Run) -> None:
    first = {"best/val/loss": 0.1 + 0.2, "jobs": 3, "jobs_failed": 0}
    killed = _finish(sweep, "KILLED", first, {"best.act": "relu"})
    assert killed.info.run_name == "act-lr"
    assert killed.data.metrics == {"best/val/loss": 0.3, "jobs": 3, "jobs_failed": 0}
    assert killed.data.params == {}  # another job may become the best, and params can't be changed

    failed = _finish(sweep, "FAILED", {**first, "jobs_failed": 1}, {"best.act": "relu"})
    assert failed.data.metrics["jobs_failed"] == 1
    assert failed.data.params == {"best.act": "relu"}

    params = {"best.act": "tanh", "best.run": "tanh-s0"}
    retried = _finish(sweep, "FINISHED", {**first, "best/val/loss": 0.25}, params)
    assert retried.data.metrics == {"best/val/loss": 0.25, "jobs": 3, "jobs_failed": 0}
    assert retried.data.params == {"best.act": "relu", "best.run": "tanh-s0"}
    assert retried.data.tags["resumed.best.act"] == "tanh"
    assert [_times(sweep, name) for name in first] == [2, 1, 3]
