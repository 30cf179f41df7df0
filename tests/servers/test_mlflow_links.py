"""URLs of MLflow's pages, and their views, if a server can save views and if it can't."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from expt.record.images import ImageRecorder
from expt.record.recorder import Image
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord
from expt.runs.run import Run
from expt.servers import mlflow_links
from expt.servers.mlflow_links import all_runs_page, save_view, sweep_pages

_ADDRESS = "http://127.0.0.1:5000"
PIXELS = np.zeros((2, 2, 3), np.uint8)
Views = dict[str, tuple[str, dict[str, Any]]]


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch) -> Views:
    """The experiment and the state of each view that was saved, by its key."""
    kept: Views = {}

    def keep(_address: str, experiment: str, key: str, view: dict[str, Any]) -> bool:
        kept[key] = experiment, {**json.loads(view["state"]), "name": view["name"]}
        return True

    monkeypatch.setattr(mlflow_links, "save_view", keep)
    return kept


def _make(directory: Path, act: str, seed: int, accuracy: float, loss: str = "mse") -> FoundRun:
    record = {
        "status": "FINISHED",
        "started": 100.0 + seed,
        "choices": {"act": act, "loss": loss},
        "distinctive": ["act", "seed"],
        "params": {"act": act, "loss": loss, "seed": seed, "optimizer.learning_rate": 0.1},
        "larger_is_better": ["accuracy"],
        "best": {"step": 9, "watched": "val/loss", "val/loss": 0.5, "val/accuracy": accuracy},
        "final": {"step": 9, "test/loss": 0.5, "test/accuracy": accuracy},
        "mlflow": {"run_id": "a" * 32, "experiment_id": "7"},
    }
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps(record))
    return FoundRun(directory, RunRecord.of(record), directory.parents[2])


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweeps/2026-11-23/11-00-00_bbbbbbbb"
    folder.mkdir(parents=True)
    place = {"experiment_id": "7", "run_id": "b" * 32}
    content: dict[str, Any] = {"id": "c" * 8, "sweep_name": "act", "mlflow": place}
    content |= {"status": "FINISHED", "started": 1.0}
    (folder / "sweep.json").write_text(json.dumps(content))
    return folder


def _draw(run: FoundRun, name: str, *steps: int) -> None:
    recorder = ImageRecorder()
    recorder.open(Run(run.directory, run.output_dir, {}, {}, RunRecord()))
    for step in steps:
        recorder.write(Image(step=step, time=1.0, name=name, draw=lambda: PIXELS))


def test_image_cards_show_the_last_image_that_all_runs_have_without_params(
    sweep: Path, views: Views
) -> None:
    runs = [_make(sweep / f"{seed}", "a", seed, 0.5) for seed in range(2)]
    for run, last in zip(runs, (40, 60), strict=True):
        _draw(run, "val/predictions", 0, 20, 40, last)
        _draw(run, "val/confusion", 0, last)
    _draw(runs[1], "val/mistakes", 60)
    list(sweep_pages(_ADDRESS, sweep, runs))
    _, state = views[f"expt-{'c' * 8}"]
    cards = [card for card in state["compareRunCharts"] if card["type"] == "IMAGE"]
    assert [(card["imageKeys"], card["step"]) for card in cards] == [
        (["val/mistakes"], 60),
        (["val/predictions"], 40),
        (["val/confusion"], 0),
    ]
    assert not any(card["showRunParams"] for card in cards)
    assert [card["type"] for card in state["compareRunCharts"][:3]] == ["LINE", "BAR", "IMAGE"]


def test_view_of_a_sweep_is_sorted_and_has_varying_params(sweep: Path, views: Views) -> None:
    runs = [
        _make(sweep / f"{seed}", act, seed, 0.5 + seed / 10) for seed, act in enumerate(["a", "b"])
    ]
    page = f"{_ADDRESS}/#/experiments/7/runs"
    chosen = f"viewStateShareKey=expt-{'c' * 8}"
    assert [*sweep_pages(_ADDRESS, sweep, runs)] == [
        ("runs table", f"{page}?workflowType=machine_learning&{chosen}"),
        ("charts", f"{page}?workflowType=machine_learning&compareRunsMode=CHART&{chosen}"),
        ("sweep's run", f"{page}/{'b' * 32}?workflowType=machine_learning"),
    ]
    experiment, state = views[f"expt-{'c' * 8}"]
    assert (experiment, state["name"]) == ("7", "act: best first")
    assert state["searchFilter"] == f"tags.`mlflow.parentRunId` = '{'b' * 32}'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best/val/loss`", True)
    assert state["selectedColumns"] == [
        *("metrics.`best/val/loss`", "metrics.`test/loss`", "metrics.`best/val/accuracy`"),
        *("params.`act`", "params.`seed`"),
    ]
    charts = [(chart["type"], chart["metricKey"]) for chart in state["compareRunCharts"]]
    assert charts == [
        ("LINE", "val/loss"),
        ("BAR", "best/val/loss"),
        ("LINE", "val/accuracy"),
    ]
    assert state["compareRunSections"][0]["name"] == "val"
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {
        state["compareRunSections"][0]["uuid"]
    }


def test_values_of_different_losses_are_not_compared(sweep: Path, views: Views) -> None:
    runs = [_make(sweep / loss, "a", 0, 0.5, loss) for loss in ("mse", "crossentropy")]
    assert [*sweep_pages(_ADDRESS, sweep, runs)]
    _, state = views[f"expt-{'c' * 8}"]
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`best/val/accuracy`", False)


def test_all_runs_are_sorted_newest_first_and_not_folded(
    tmp_path: Path, sweep: Path, views: Views
) -> None:
    latest = [_make(sweep / "0", "a", 0, 0.5), _make(sweep / "1", "b", 1, 0.6)]
    damaged = sweep / "2" / "run.json"
    damaged.parent.mkdir()
    damaged.write_text('{"status": "FINISHED", "started": 1.0, "best": 3}')
    address = f"{_ADDRESS}/#/experiments/7/runs?workflowType=machine_learning"
    assert all_runs_page(_ADDRESS, latest, tmp_path) == f"{address}&viewStateShareKey=expt"
    _, state = views["expt"]
    assert state["orderByKey"] not in (
        "",
        "attributes.start_time",
    )  # MLflow folds jobs for these keys
    assert "params.`act`" in state["selectedColumns"]
    assert "metrics.`best/val/loss`" in state["selectedColumns"]


def test_url_has_the_order_if_the_view_is_not_saved(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_links, "save_view", lambda *_: False)
    (_, page), *_ = sweep_pages(_ADDRESS, sweep, [_make(sweep / "0", "a", 0, 0.5)])
    assert parse_qs(urlsplit(page.replace("#/", "")).query) == {
        "workflowType": ["machine_learning"],
        "searchFilter": [f"tags.`mlflow.parentRunId` = '{'b' * 32}'"],
        "orderByKey": ["metrics.`best/val/loss`"],
        "orderByAsc": ["true"],
    }


def test_page_without_any_run_in_mlflow(tmp_path: Path) -> None:
    assert all_runs_page(_ADDRESS, [], tmp_path) == (
        f"{_ADDRESS}/#/experiments?workflowType=machine_learning"
    )


class _Server(BaseHTTPRequestHandler):
    answer = 200
    requests: list[tuple[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((self.path, json.loads(body)))
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Prints nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    _Server.requests = []
    with HTTPServer(("127.0.0.1", 0), _Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", [200, 401])
def test_view_is_saved_as_a_tag_of_the_experiment(
    answer: int, server: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Server, "answer", answer)
    is_kept = save_view(f"http://127.0.0.1:{server.server_port}", "7", "expt", {"name": "a view"})
    assert is_kept == (answer == 200)
    ((path, content),) = _Server.requests
    assert path == "/api/2.0/mlflow/experiments/set-experiment-tag"
    key = "mlflow.sharedViewState.expt"
    assert content == {"experiment_id": "7", "key": key, "value": '{"name": "a view"}'}


def test_view_is_not_saved_if_the_server_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert not save_view(f"http://127.0.0.1:{port}", "7", "expt", {})
