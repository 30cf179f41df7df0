"""Tests of reading and writing run.json and sweep.json, with damaged files and older versions."""

import json
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.runs.record_file import SCHEMA_VERSION
from expt.runs.record_parts import JobStatus, Status
from expt.runs.records import (
    RUN_FILE,
    SWEEP_FILE,
    RunRecord,
    SweepRecord,
    check_complete,
    read_run,
    read_sweep,
    write_run,
    write_sweep,
)

RUN: dict[str, Any] = {"status": "FINISHED", "started": 1.5}
OLDER = Path(__file__).parents[1] / "older_records"


def content_of(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def put(directory: Path, content: Any, name: str = RUN_FILE) -> Path:
    (directory / name).write_text(json.dumps(content))
    return directory


def test_values_are_typed(tmp_path: Path) -> None:
    best = {"step": 7, "watched": "val/loss", "val/loss": 0.25}
    resumed = [{"time": 3.0, "step": 4, "from": "KILLED", "changes": {"loop.epochs": 9}}]
    record = read_run(put(tmp_path, {**RUN, "best": best, "resumed": resumed}))
    assert (record.status, record.started) == (Status.FINISHED, 1.5)
    assert record.best is not None
    assert (record.best.step, record.best.values) == (7, {"val/loss": 0.25})
    assert (record.resumed[0].status, record.resumed[0].changes) == ("KILLED", {"loop.epochs": 9})


def test_written_records_are_read_back(tmp_path: Path) -> None:
    record = RunRecord.of({**RUN, "seed": 3, "final": {"step": 9, "test/loss": float("inf")}})
    write_run(tmp_path, record)
    assert content_of(tmp_path / RUN_FILE)["schema_version"] == SCHEMA_VERSION
    assert read_run(tmp_path) == record
    job = {"directory": "0_a", "status": "REUSED", "reused": "../b"}
    sweep = SweepRecord.of({**RUN, "jobs": [job], "varied": ("act", "seed")})
    write_sweep(tmp_path, sweep)
    assert read_sweep(tmp_path) == sweep
    assert (sweep.jobs[0].status, sweep.varied) == (JobStatus.REUSED, ["act", "seed"])


def test_unknown_keys_are_kept_and_none_is_added(tmp_path: Path) -> None:
    given = {**RUN, "data": {"name": "digits", "encoding": None}, "mine": {"a": [1]}}
    write_run(tmp_path, read_run(put(tmp_path, given)).updated({"closed": True}))
    expected = {"schema_version": SCHEMA_VERSION, **given, "closed": True}
    assert content_of(tmp_path / RUN_FILE) == expected


@pytest.mark.parametrize("file", sorted(OLDER.rglob(RUN_FILE)), ids=str)
def test_older_runs_are_complete(file: Path) -> None:
    record = read_run(file.parent)
    assert record.to_mapping() == content_of(file)
    check_complete(file.parent, record)


@pytest.mark.parametrize("file", sorted(OLDER.rglob(SWEEP_FILE)), ids=str)
def test_older_sweeps_are_complete(file: Path) -> None:
    record = read_sweep(file.parent)
    assert record.to_mapping() == content_of(file)
    check_complete(file.parent, record)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"status": "DONE"}, "status"),
        ({"started": True}, "started"),
        ({"started": float("nan")}, "started"),
        ({"overrides": ["a", 1]}, "overrides.1"),
        ({"data": {"skipped": -1}}, "data.skipped"),
        ({"data": {"example_hashes": "float16"}}, "data.example_hashes"),
        ({"best": {"step": 1.0}}, "best.step"),
        ({"peak_memory": 2**63}, "peak_memory"),
        ({"sweep": {"id": "a"}}, "sweep.name"),
        ({"resumed": [{"code": {"from": 7}}]}, "resumed.0.code.from"),
    ],
)
def test_path_of_wrong_value_is_in_message(
    fields: dict[str, Any], place: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as raised:
        read_run(put(tmp_path, RUN | fields))
    assert str(raised.value) == (
        f"{tmp_path / RUN_FILE} is damaged: {place!r} is missing or wrong. Restore the file from "
        "a backup, if there is one."
    )


@pytest.mark.parametrize("key", ["status", "started"])
@pytest.mark.parametrize(("name", "read"), [(RUN_FILE, read_run), (SWEEP_FILE, read_sweep)])
def test_record_without_status_or_start_is_damaged(
    key: str, name: str, read: Any, tmp_path: Path
) -> None:
    content = {other: value for other, value in RUN.items() if other != key}
    with pytest.raises(UserError, match=rf"is damaged: '{key}' is missing"):
        read(put(tmp_path, content, name))


def test_needed_values_are_checked_only_on_use(tmp_path: Path) -> None:
    file = next(OLDER.rglob("runs/finished/run.json"))
    content = content_of(file)
    for place in ("run_hash", "data.fingerprint", "best.watched"):
        group, _, key = place.rpartition(".")
        damaged = json.loads(json.dumps(content))
        del (damaged[group] if group else damaged)[key]
        record = read_run(put(tmp_path, damaged))
        with pytest.raises(UserError, match=rf"is damaged: '{place}' is missing"):
            check_complete(tmp_path, record)


def test_updated_values_are_checked() -> None:
    record = RunRecord.of(RUN)
    changed = record.updated({"mlflow": {"run_id": "1"}, "closed": False})
    assert changed.mlflow is not None
    assert (changed.mlflow.run_id, changed.closed, record.closed) == ("1", False, None)
    with pytest.raises(ValueError, match="closed"):
        record.updated({"closed": "yes"})
