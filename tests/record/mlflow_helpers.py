"""A real MLflow server that can be stopped, and comparison of a store with the files of a run."""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from expt.record.images import ImageRecorder
from expt.record.journal import Journal, read_journal
from expt.record.mlflow.store import prepare_mlflow
from expt.record.recorder import Image, Scalars
from expt.record.replay import read_images
from expt.runs.records import RunRecord
from expt.runs.run import Run, Status

Metrics = Counter[tuple[str, int, str, int]]
LARGEST = 1.7976931348623157e308


class Server:
    """An MLflow server on loopback with a separate database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Starts the server, with the same port and database each time."""
        options = {
            "--host": "127.0.0.1",
            "--port": str(self._port),
            "--backend-store-uri": f"sqlite:///{self._folder}/server.db",
            "--artifacts-destination": str(self._folder / "artifacts"),
            "--workers": "1",
        }
        environment = {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *sum(options.items(), ())],
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while not self.is_ready():
            assert time.monotonic() < deadline
            assert self._process.poll() is None
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Sends a signal to all processes of the server."""
        os.killpg(self._process.pid, number)

    @property
    def group(self) -> int:
        """The id of the server's process group."""
        return self._process.pid

    def kill(self) -> None:
        """Kills the server."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def is_ready(self) -> bool:
        """Whether the server answers."""
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False


def until(happened: Callable[[], object]) -> None:
    """Waits until a condition is true, and fails after two minutes."""
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_in_mlflow(folder: Path) -> Path:
    """Waits until the run in a working directory has a run in MLflow; returns its directory."""

    def found() -> Iterator[Path]:
        for file in folder.glob("outputs/runs/*/*/run.json"):
            if "mlflow" in json.loads(file.read_text()):
                yield file.parent

    until(lambda: any(found()))
    return next(found())


def client_of(uri: str) -> Any:
    prepare_mlflow()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def journal_metrics(directory: Path) -> Metrics:
    """Returns the values of a journal as name in MLflow, step, value and milliseconds."""
    journal = directory / "metrics.jsonl"
    return Counter(
        (renamed(name), record["step"], _text(value), int(record["time"] * 1000))
        for record in (read_journal(journal) if journal.exists() else ())
        for name, value in record.items()
        if "/" in name
    )


def renamed(name: str) -> str:
    """Returns the MLflow name of a metric of the journal."""
    return name.replace("perf/", "system/", 1) if name.startswith("perf/") else name


def is_final(name: str) -> bool:
    """Whether a metric is a final value, which the journal does not have."""
    return name.startswith("best/") or name == "system/peak_memory_megabytes"


def assert_final_values(metrics: Mapping[str, float], record: Mapping[str, Any]) -> None:
    """Asserts that a run in a store has exactly the final values of its record."""
    best = record.get("best") or {}
    expected = {f"best/{k}": float(str(np.float32(best[k]))) for k in best if k != "watched"}
    if record.get("peak_memory"):
        expected["system/peak_memory_megabytes"] = round(record["peak_memory"] / 1e6, 1)
    assert {name: metrics[name] for name in metrics if is_final(name)} == expected


def stored_metrics(client: Any, run_id: str) -> Metrics:
    """Returns the values of a run in a store, except for final values."""
    return Counter(
        (metric.key, metric.step, _text(metric.value), metric.timestamp)
        for name in client.get_run(run_id).data.metrics
        if not is_final(name)
        for metric in client.get_metric_history(run_id, name)
    )


def _text(value: float) -> str:
    """Returns a value as text, since NaN is not equal to itself; MLflow has no infinity."""
    return repr(math.copysign(LARGEST, value) if math.isinf(value) else value)


def stored_images(client: Any, run_id: str) -> Counter[tuple[str, int, str]]:
    """Returns name, step and file extension of the images of a run in a store."""
    found: Counter[tuple[str, int, str]] = Counter()
    for file in client.list_artifacts(run_id, "images"):
        path = Path(file.path)
        name, _, step, *_ = path.name.split("+")
        found[name.replace("~", "/"), int(step), path.suffix] += 1
    return found


def assert_store_equals_files(directory: Path, uri: str) -> Any:
    """Asserts that MLflow has the content of the run's files exactly once; returns its run."""
    client = client_of(uri)
    record = json.loads((directory / "run.json").read_text())
    run_id, experiment_id = record["mlflow"]["run_id"], record["mlflow"]["experiment_id"]
    (run,) = client.search_runs([experiment_id], f"tags.`expt.id` = '{record['id']}'")
    assert run.info.run_id == run_id
    assert stored_metrics(client, run_id) == journal_metrics(directory)
    assert_final_values(run.data.metrics, record)
    images = {(image.name, image.step) for image in read_images(directory)}
    expected = Counter((*image, kind) for image in images for kind in (".png", ".webp"))
    assert stored_images(client, run_id) == expected
    models = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    is_due = (directory / "model.keras").exists() and record["status"] != "KILLED"
    assert [model.status for model in models] == ["READY"] * is_due
    assert (run.info.status, run.info.end_time) == (record["status"], int(record["ended"] * 1000))
    return run


def write_scalars(run: Run, steps: range, *, special: bool = False) -> None:
    """Writes two metrics per step to the journal; with `special`, NaN and infinities too."""
    journal = Journal()
    journal.open(run)
    values = np.sin(np.arange(len(steps)) + steps.start).astype(np.float32)
    if special:
        values[:3] = np.nan, np.inf, -np.inf
    numbers = np.asarray(steps)
    times = run.record.started + numbers / 1024
    journal.write(Scalars(numbers, numbers, times, {"train/loss": values, "train/mae": -values}))
    journal.close(Status.RUNNING)


def write_image(run: Run, step: int, name: str = "val/predictions") -> None:
    """Writes an image to `images/`."""
    pixels = np.full((8, 8, 3), step % 256, np.uint8)
    recorder = ImageRecorder()
    recorder.open(run)
    recorder.write(Image(step=step, time=run.record.started + step, name=name, draw=lambda: pixels))


def id_of(run: Run) -> str:
    """Returns the id of the MLflow run of a run or a sweep."""
    assert run.record.mlflow is not None
    return run.record.mlflow.run_id


def end(run: Run, status: Status = Status.FINISHED) -> RunRecord:
    """Writes the end of a run into its run.json; returns the content."""
    run.update(status=status, ended=run.record.started + 60.25)
    return run.record
