"""MLflow's server is stopped, killed or hangs during a run: no value is lost or duplicated.

Most runs are files that the test itself extends, so that it controls their timing; one is real.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow_helpers import (
    Server,
    assert_store_equals_files,
    client_of,
    end,
    id_of,
    stored_metrics,
    until,
    until_in_mlflow,
    write_image,
    write_scalars,
)
from record_helpers import make_run

import ready_processes
from conftest import Command
from expt.record.mlflow.recorder import MLflowRecorder, store_uri
from expt.runs.run import Run, Status

# MLflow warns about its own code when its pyfunc module is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def server(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, running, and set as the store by MLFLOW_TRACKING_URI."""
    if not shared_server.is_ready():
        shared_server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shared_server.uri)
    return shared_server


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = make_run(tmp_path)
    run.update(id=f"id-of-{tmp_path.name}", model_input_shape=[4], model_output_shape=[2])
    return run


@pytest.fixture
def recorder() -> Iterator[MLflowRecorder]:
    recorder = MLflowRecorder()
    yield recorder
    recorder.stop()


def _until_stored(run: Run, uri: str, count: int) -> None:
    until(lambda: run.record.mlflow is not None)
    client, run_id = client_of(uri), id_of(run)
    until(lambda: stored_metrics(client, run_id).total() == count)


def _close(recorder: MLflowRecorder, run: Run, status: Status = Status.FINISHED) -> float:
    """Ends a run and returns the seconds that closing took."""
    end(run, status)
    begun = time.monotonic()
    recorder.close(status)
    return time.monotonic() - begun


def _complete(run: Run) -> str:
    """Completes a run in MLflow as `expt.sync` does; returns a description of the additions."""
    from expt.record.mlflow.run_mirror import RunMirror

    copy = RunMirror(run, is_new=False, extend_deadline=lambda _seconds: None)
    copy.advance()
    copy.finish()
    return str(copy.added)


@pytest.mark.parametrize("is_killed", [False, True])
def test_server_that_comes_back_receives_everything(
    is_killed: bool,
    server: Server,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")  # makes the test faster
    recorder = MLflowRecorder()
    recorder.open(run)
    write_scalars(run, range(1, 2_001), special=True)
    _until_stored(run, server.uri, 4_000)  # two values per step
    server.kill() if is_killed else server.signal(signal.SIGSTOP)
    write_scalars(run, range(2_001, 4_001))
    write_image(run, 4_000)
    until(lambda: "Training continues; the journal is complete" in caplog.text)
    server.start() if is_killed else server.signal(signal.SIGCONT)
    until(lambda: "recording continues" in caplog.text)
    write_scalars(run, range(4_001, 4_101))
    (run.directory / "model.keras").write_bytes(b"a model")
    _close(recorder, run)
    recorder.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert_store_equals_files(run.directory, server.uri)
    assert _complete(run) == ""


def test_server_that_starts_after_the_run_receives_everything(
    server: Server, run: Run, recorder: MLflowRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    recorder.open(run)
    write_scalars(run, range(1, 11))
    until(lambda: "does not answer (Connection refused). Training continues" in caplog.text)
    server.start()
    _until_stored(run, server.uri, 20)
    _close(recorder, run)
    assert len(caplog.records) == 1
    assert_store_equals_files(run.directory, server.uri)


def test_resumed_run_continues_in_the_same_store(
    server: Server, run: Run, recorder: MLflowRecorder
) -> None:
    """When the run is resumed, the store lacks a part of the journal, and its run is closed."""
    recorder.open(run)
    write_scalars(run, range(1, 1_001))
    _until_stored(run, server.uri, 2_000)
    _close(recorder, run, Status.KILLED)
    write_scalars(run, range(1_001, 1_011))
    run.is_resumed = True
    run.update(status=Status.RUNNING)
    recorder.open(run)
    write_scalars(run, range(1_011, 1_021))
    _until_stored(run, server.uri, 2_040)
    stored = client_of(server.uri).get_run(id_of(run))
    assert stored.info.status == "RUNNING"
    _close(recorder, run)
    assert_store_equals_files(run.directory, server.uri)


@pytest.mark.parametrize("status", [Status.FINISHED, Status.KILLED])
def test_hanging_server_does_not_delay_the_end_of_the_run(
    status: Status,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"127.0.0.1:{hanging.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:swordfish@{address}")
        recorder = MLflowRecorder()
        recorder.open(run)
        write_scalars(run, range(1, 11))
        with hanging.accept()[0]:
            assert _close(recorder, run, status) < 6  # 5 seconds without an answer, and some slack
    recorder.stop()
    message = caplog.messages[-1]
    assert "mlflow: incomplete: no answer" in message
    assert f"the MLflow run: python -m expt.sync {os.path.relpath(run.directory)}" in message
    assert "swordfish" not in caplog.text


def test_locked_database_does_not_delay_the_end_of_the_run(
    run: Run, recorder: MLflowRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.open(run)
    write_scalars(run, range(1, 11))
    until(lambda: run.record.mlflow is not None)
    _until_stored(run, store_uri(run.output_dir), 20)
    with closing(sqlite3.connect(run.output_dir / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        write_scalars(run, range(11, 21))
        # 10 seconds for a request to a database, and some slack.
        assert _close(recorder, run) < 13
        other.execute("ROLLBACK")
    assert "mlflow: incomplete: no answer" in caplog.messages[-1]
    assert _complete(run) == "20 values, the status FINISHED"
    assert_store_equals_files(run.directory, store_uri(run.output_dir))


def test_sync_completes_a_run_whose_server_never_came_back(
    server: Server, tmp_path: Path, run_command: Command
) -> None:
    command = [sys.executable, "-m", "expt.run", "loop.epochs=300", "loop.image_every=100ep"]
    with ready_processes.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        directory = until_in_mlflow(tmp_path)
        server.kill()
        _, error = process.communicate(timeout=120)
    assert process.returncode == 0
    assert error.count("Training continues; the journal is complete") <= 1
    assert error.count("mlflow: ") <= 2
    assert f"the MLflow run: python -m expt.sync {directory.relative_to(tmp_path)}" in error
    record = json.loads((directory / "run.json").read_text())
    assert record["status"] == "FINISHED"
    server.start()
    done = run_command(folder=tmp_path, command="sync")
    assert (done.code, done.error) == (0, "")
    assert "the model, the status FINISHED" in done.out
    assert_store_equals_files(directory, server.uri)
    again = run_command(folder=tmp_path, command="sync")
    assert (again.code, again.out) == (0, "1 run: 1 already complete\n")
    assert_store_equals_files(directory, server.uri)
