"""The pages that are printed."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from expt.servers import mlflow_links
from expt.servers.pages import Pages
from expt.servers.view import View

_BOARD, _MLFLOW = "http://127.0.0.1:6006", "http://127.0.0.1:5000"
_TRAINING = "workflowType=machine_learning"
_PINNED = (
    "pinnedCards=%5B%7B%22plugin%22%3A%22scalars%22%2C%22tag%22%3A%22loss%22%7D%2C"
    "%7B%22plugin%22%3A%22scalars%22%2C%22tag%22%3A%22accuracy%22%7D%5D&smoothing=0#timeseries"
)
_OF_ALL = [
    ("TensorBoard", f"{_BOARD}/?{_PINNED}"),
    ("", f"{_BOARD}/#images"),
    ("", f"{_BOARD}/#hparams"),
]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_links, "save_view", lambda *_: True)


def _make_run(directory: Path, started: float, experiment: str | None) -> None:
    (directory / "val").mkdir(parents=True)
    record: dict[str, Any] = {"status": "FINISHED", "started": started, "ended": started + 1}
    if experiment is not None:
        record["mlflow"] = {"run_id": "a" * 32, "experiment_id": experiment}
    (directory / "run.json").write_text(json.dumps(record))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """The newest sweep with runs, beside an older one and a newer one without any run."""
    sweeps = tmp_path / "sweeps/2026-11-23"
    _make_run(sweeps / "10-00-00_aaaaaaaa/0_seed=0", 100.0, "1")
    _make_run(sweeps / "11-00-00_bbbbbbbb/0_seed=0", 200.0, None)
    _make_run(sweeps / "11-00-00_bbbbbbbb/1_seed=1", 250.0, "2")
    (sweeps / "12-00-00_cccccccc").mkdir()
    return sweeps / "11-00-00_bbbbbbbb"


_ENDED = {"status": "FINISHED", "started": 1e6}


def _lines(output_dir: Path, mlflow: str | None = _MLFLOW) -> list[tuple[str, str]]:
    with TemporaryDirectory() as folder:
        return list(Pages(output_dir, _BOARD, mlflow, None, View(Path(folder), output_dir)).lines())


def test_pages_of_the_latest_run_and_of_the_newest_sweep(sweep: Path, tmp_path: Path) -> None:
    _make_run(tmp_path / "runs/2026-11-22/09-00-00_dddddddd", 300.0, "3")
    place = {"experiment_id": "1", "run_id": "b" * 32}
    (sweep / "sweep.json").write_text(json.dumps({**_ENDED, "mlflow": place}))
    report = sweep / "summary" / "report.html"
    report.parent.mkdir()
    report.touch()
    view = "viewStateShareKey=expt-11-00-00_bbbbbbbb"
    assert _lines(tmp_path) == [
        *_OF_ALL,
        ("MLflow", f"{_MLFLOW}/#/experiments/3/runs?{_TRAINING}&viewStateShareKey=expt"),
        ("newest sweep", os.path.relpath(sweep)),
        ("", f"{_BOARD}/?runFilter=%5E11%5C-00%5C-00_bbbbbbbb%2F&{_PINNED}"),
        ("", f"{_MLFLOW}/#/experiments/2/runs?{_TRAINING}&{view}"),
        ("", f"{_MLFLOW}/#/experiments/2/runs?{_TRAINING}&compareRunsMode=CHART&{view}"),
        ("", f"{_MLFLOW}/#/experiments/1/runs/{'b' * 32}?{_TRAINING}"),
        ("", report.as_uri()),
    ]


@pytest.mark.parametrize("plan", ["{", "[]", "{}", '{"mlflow": null}', '{"mlflow": {}}'])
def test_sweep_without_a_recorded_mlflow_run(plan: str, sweep: Path, tmp_path: Path) -> None:
    (sweep / "sweep.json").write_text(plan)
    _, _, address = (text for _, text in _lines(tmp_path)[-3:])
    assert "&compareRunsMode=CHART&" in address


def test_without_mlflow(sweep: Path, tmp_path: Path) -> None:
    (sweep / "sweep.json").write_text(
        json.dumps({**_ENDED, "mlflow": {"experiment_id": "1", "run_id": "b"}})
    )
    assert _lines(tmp_path, None) == [
        *_OF_ALL,
        ("MLflow", "not started: no run is recorded there (recorder=mlflow)"),
        ("newest sweep", os.path.relpath(sweep)),
        ("", f"{_BOARD}/?runFilter=%5E11%5C-00%5C-00_bbbbbbbb%2F&{_PINNED}"),
    ]


def test_runs_without_a_recorded_experiment(tmp_path: Path) -> None:
    _make_run(tmp_path / "runs/2026-11-22/09-00-00_dddddddd", 300.0, None)
    (tmp_path / "sweeps/2026-11-23/11-00-00_bbbbbbbb/0_seed=0").mkdir(parents=True)
    damaged = tmp_path / "sweeps/2026-11-23/11-00-00_bbbbbbbb/0_seed=0/run.json"
    damaged.write_text("{")
    assert _lines(tmp_path) == [*_OF_ALL, ("MLflow", f"{_MLFLOW}/#/experiments?{_TRAINING}")]
