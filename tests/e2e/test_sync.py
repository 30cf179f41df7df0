"""`expt.sync` on the files of a real run, in the states that crashes leave behind."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from mlflow_helpers import (
    assert_store_equals_files,
    client_of,
    stored_metrics,
    until,
    until_in_mlflow,
)

import ready_processes
from conftest import Command
from expt import sync
from expt.config.job import Job
from expt.config.params import make_params
from expt.errors import RunError, UserError
from expt.record.journal import read_journal
from expt.record.mlflow.store import store_uri
from expt.sweep import sync as module

# MLflow warns about its own code when its pyfunc module is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning")
NAME = "2026-11-23/10-00-00_abcdef"
STORE_FILES = (".hydra", "run.json", "metrics.jsonl", "images", "model.keras", "layers.md")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, run_command: Command) -> Path:
    """The directory of a finished run."""
    folder = tmp_path_factory.mktemp("recorded")
    done = run_command("loop.epochs=2", "loop.image_every=1ep", "recorder=mlflow", folder=folder)
    assert done.code == 0, done.error
    (directory,) = folder.glob("outputs/runs/*/*")
    return directory


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    client_of(store_uri(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def outputs(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runs, with an empty store, in the working directory."""
    (tmp_path / "outputs").mkdir()
    shutil.copyfile(empty_store, tmp_path / "outputs/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return Path("outputs")


@pytest.fixture
def directory(outputs: Path, recorded: Path) -> Path:
    """A finished run that is missing in MLflow."""
    return _add_run(outputs, recorded, NAME)


def _add_run(outputs: Path, recorded: Path, name: str) -> Path:
    directory = outputs / "runs" / name
    directory.mkdir(parents=True)
    for entry in STORE_FILES:
        copy: Any = shutil.copytree if (recorded / entry).is_dir() else shutil.copyfile
        copy(recorded / entry, directory / entry)
    _change(directory, id=directory.name, mlflow=None)
    return directory


def _change(directory: Path, **changes: Any) -> None:
    record = _record(directory) | changes
    (directory / "run.json").write_text(json.dumps(record))


def _record(directory: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return record


def _process(number: int) -> dict[str, Any]:
    started = psutil.Process(number).create_time()
    return {"host": platform.node(), "id": number, "started": started}


def _leave_running(directory: Path, process: dict[str, Any] | None) -> None:
    """Changes a run to the state after its process was killed in the middle of a journal line."""
    record = _record(directory)
    for outcome in ("ended", "final", "error"):
        record.pop(outcome, None)
    (directory / "run.json").write_text(json.dumps(record))
    _change(directory, status="RUNNING", process=process)
    with (directory / "metrics.jsonl").open("ab") as journal:
        journal.write(b'{"step": 39, "epo')


def _dead() -> dict[str, Any]:
    # A real process that has ended: a made-up number could be that of a running process.
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return _process(process.pid)


def _sync(*arguments: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> list[str]:
    assert sync._run(list(arguments)) == code
    return capsys.readouterr().out.splitlines()


def test_run_that_is_missing_in_mlflow_is_added_once(
    directory: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = sum(
        "/" in key for record in read_journal(directory / "metrics.jsonl") for key in record
    )
    count += 4  # best/step, its loss and accuracy, and the peak memory
    added = f"added a new run, {count} values, 9 images, the model, the status FINISHED"
    assert _sync(capsys=capsys) == [f"{directory}: {added}", "1 run: 1 completed"]
    before = assert_store_equals_files(directory, store_uri(outputs))
    assert _sync(capsys=capsys) == ["1 run: 1 already complete"]
    assert _sync(str(directory), capsys=capsys)[0] == f"{directory}: complete"
    after = assert_store_equals_files(directory, store_uri(outputs))
    assert after.to_dictionary() == before.to_dictionary()


def test_complete_run_is_not_compared_again(
    directory: Path,
    outputs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store is read once for all runs; only a run that is named is compared anyway."""
    _sync(capsys=capsys)
    compared: list[Job] = []

    def noted(job: Job) -> dict[str, Any]:
        compared.append(job)
        return make_params(job)

    monkeypatch.setattr(module, "make_params", noted)
    assert _sync(capsys=capsys) == ["1 run: 1 already complete"]
    assert compared == []
    assert _sync(str(directory), capsys=capsys)[0] == f"{directory}: complete"
    assert len(compared) == 1
    client, run_id = client_of(store_uri(outputs)), _record(directory)["mlflow"]["run_id"]
    client.delete_run(run_id)
    assert _sync(capsys=capsys)[-1] == "1 run: 1 deleted in MLflow"
    client.restore_run(run_id)
    client.set_terminated(run_id, "FAILED")
    assert _sync(capsys=capsys)[0] == f"{directory}: added the status FINISHED"
    count = len(compared)
    assert _sync(capsys=capsys) == ["1 run: 1 already complete"]
    assert len(compared) == count == 3


def test_sync_does_not_import_tensorflow(directory: Path) -> None:
    code = (
        "import sys; from expt import sync; print(sync._run([]));"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["0", "[]"]
    assert done.stderr == ""
    assert directory.exists()


def test_dead_run_is_closed_as_killed(
    directory: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _leave_running(directory, _dead())
    lines = _sync(capsys=capsys)
    assert lines[0] == f"{directory}: its process has died; closed as KILLED"
    assert lines[1].startswith(f"{directory}: added a new run")
    assert lines[1].endswith("the status KILLED")
    assert lines[2] == "1 run: 1 completed, 1 closed"
    record = _record(directory)
    assert record["status"] == "KILLED"
    assert record["error"] == "the process ended without closing the run"
    assert record["ended"] == list(read_journal(directory / "metrics.jsonl"))[-1]["time"]
    assert_store_equals_files(directory, store_uri(outputs))
    assert _sync(capsys=capsys) == ["1 run: 1 already complete"]


def test_run_that_died_before_its_first_line_is_closed(
    directory: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _leave_running(directory, _dead())
    (directory / "metrics.jsonl").unlink()
    _sync(capsys=capsys)
    assert _record(directory)["ended"] == _record(directory)["started"]
    assert_store_equals_files(directory, store_uri(outputs))


def test_running_run_is_left_alone(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _leave_running(directory, _process(os.getpid()))
    before = (directory / "run.json").read_bytes()
    lines = _sync(str(directory), capsys=capsys)
    assert lines == [f"{directory}: still running; skipped", "1 run: 1 still running"]
    assert (directory / "run.json").read_bytes() == before


def test_run_that_is_being_closed_is_left_alone(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FileLock(directory / ".lock"):
        lines = _sync(capsys=capsys)
    assert lines == [f"{directory}: still running; skipped", "1 run: 1 still running"]


def test_run_of_another_host_is_closed_only_if_it_is_named(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _leave_running(directory, {"host": "elsewhere", "id": 1, "started": 1.0})
    assert "may still be running on elsewhere" in _sync(capsys=capsys)[0]
    assert _record(directory)["status"] == "RUNNING"
    assert "closed as KILLED" in _sync(str(directory), capsys=capsys)[0]
    assert _record(directory)["status"] == "KILLED"


def test_run_recorded_without_mlflow_is_counted(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = directory / ".hydra/config.yaml"
    file.write_text(file.read_text().replace("expt.record.mlflow.MLflowRecorder", "my.Recorder"))
    assert _sync(capsys=capsys) == ["1 run: 1 recorded without MLflow"]


def test_damaged_run_does_not_prevent_completing_others(
    directory: Path, outputs: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = [_add_run(outputs, recorded, f"2026-11-22/0{n}-00-00_abcdef") for n in range(3)]
    (damaged[0] / "run.json").write_text("{")
    journal = damaged[1] / "metrics.jsonl"
    records = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*records[:5], b"{}}\n", *records[5:]]))
    (damaged[2] / ".hydra/config.yaml").unlink()
    lines = _sync(capsys=capsys, code=1)
    assert lines[-1] == "4 runs: 1 completed, 3 with errors"
    for run in damaged:
        assert sum(line.startswith(f"{run}: ") for line in lines) == 1
    assert "line 6" in "".join(line for line in lines if line.startswith(str(damaged[1])))
    assert_store_equals_files(directory, store_uri(outputs))


@pytest.mark.parametrize("arguments", [["nothing"], []])
def test_missing_runs_are_reported(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"there (is no such|are no) run"):
        sync._run(arguments)


def test_unreachable_store_is_reported_and_dead_runs_are_closed(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _leave_running(directory, _dead())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:swordfish@127.0.0.1:9")
    with pytest.raises(RunError, match="Connection refused") as raised:
        sync._run([])
    assert "swordfish" not in f"{raised.value}{capsys.readouterr()}"
    assert _record(directory)["status"] == "KILLED"


def _extend(directory: Path) -> None:
    """Adds a line to the journal, as if the run had continued."""
    last = list(read_journal(directory / "metrics.jsonl"))[-1]
    with (directory / "metrics.jsonl").open("a") as journal:
        journal.write(json.dumps({**last, "step": last["step"] + 1}) + "\n")


def test_copied_run_and_its_original_have_separate_mlflow_runs(
    directory: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _sync(capsys=capsys)
    copy = Path(shutil.copytree(directory, outputs / "a_copy"))
    for run, count in ((copy, 3), (directory, 1)):
        for _ in range(count):
            _extend(run)
    lines = _sync(str(copy), str(directory), capsys=capsys)
    assert lines[0].startswith(f"{copy}: a copy of runs/{NAME}; added a new run, ")
    stored = [assert_store_equals_files(run, store_uri(outputs)) for run in (copy, directory)]
    assert stored[0].info.run_id != stored[1].info.run_id
    assert stored[0].data.tags["expt.copied_from"] == stored[1].info.run_id
    assert "expt.copied_from" not in stored[1].data.tags
    assert _record(copy)["copied_from"]["mlflow"] == stored[1].info.run_id
    assert _sync(capsys=capsys) == ["2 runs: 2 already complete"]


def test_moved_folder_of_runs_is_synced_in_its_new_place(
    directory: Path, outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _sync(capsys=capsys)
    before = assert_store_equals_files(directory, store_uri(outputs))
    moved = outputs.absolute().rename(tmp_path / "moved & odd?")
    artifacts = next(moved.glob("mlartifacts/*/artifacts/images"))
    shutil.rmtree(artifacts)  # as if the run had been recorded before an earlier move
    (model,) = moved.glob("mlartifacts/models/*/artifacts")
    shutil.rmtree(model)
    lines = _sync("output_dir=moved & odd?", capsys=capsys)
    assert "artifacts have moved here from file:///" in lines[0]
    assert "9 images, the model" in lines[1]
    after = assert_store_equals_files(moved / "runs" / NAME, store_uri(moved))
    assert after.info.run_id == before.info.run_id
    assert after.data.tags["run_directory"] == str(moved / "runs" / NAME)
    assert not outputs.exists()


@pytest.mark.parametrize("kind", ["run", "experiment"])
def test_run_deleted_in_mlflow_stays_deleted_until_restored(
    kind: str, directory: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _sync(capsys=capsys)
    client, mlflow = client_of(store_uri(outputs)), _record(directory)["mlflow"]
    getattr(client, f"delete_{kind}")(mlflow[f"{kind}_id"])
    _extend(directory)
    lines = _sync(capsys=capsys)
    assert "was deleted in MLflow. To restore it: python -m expt.sync --restore outputs" in lines[0]
    assert lines[-1] == "1 run: 1 deleted in MLflow"
    lines = _sync("--restore", str(directory), capsys=capsys)
    count = sum("/" in key for key in list(read_journal(directory / "metrics.jsonl"))[-1])
    assert lines[0].startswith(f"{directory}: added ")
    assert f"{count} values" in lines[0]
    assert_store_equals_files(directory, store_uri(outputs))
    with pytest.raises(UserError, match="--restore: expected the directories"):
        sync._run(["--restore"])


def test_run_purged_from_mlflow_is_created_again(
    directory: Path, outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _change(directory, mlflow={"run_id": "f" * 32, "experiment_id": "77"})
    assert "added a new run" in _sync(capsys=capsys)[0]
    assert_store_equals_files(directory, store_uri(outputs))


def test_run_killed_at_any_moment_is_closed_and_completed(
    tmp_path: Path, run_command: Command
) -> None:
    command = [sys.executable, "-m", "expt.run", "loop.epochs=3000", "loop.image_every=5ep"]
    command.append("recorder.mlflow.max_points=null")  # every value is compared
    pipe = subprocess.DEVNULL
    with ready_processes.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe) as process:
        try:
            directory = until_in_mlflow(tmp_path)
            store, run_id = store_uri(tmp_path / "outputs"), _record(directory)["mlflow"]["run_id"]
            # Enough values that the mirror is in the middle of its work.
            until(lambda: stored_metrics(client_of(store), run_id).total() > 1_000)
        finally:
            process.send_signal(signal.SIGKILL)
    assert _record(directory)["status"] == "RUNNING"
    done = run_command(folder=tmp_path, command="sync")
    assert (done.code, done.error) == (0, "")
    assert "its process has died; closed as KILLED" in done.out
    assert_store_equals_files(directory, store)
    assert run_command(folder=tmp_path, command="sync").out == "1 run: 1 already complete\n"
