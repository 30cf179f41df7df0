"""Tests of the reuse of finished runs for jobs with the same run hash."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from expt.config.job import ComposedJob
from expt.runs.record_parts import JobStatus
from expt.sweep.finished_runs import reuse_finished
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from sweep.sweep_helpers import composed


@pytest.fixture(scope="module")
def made() -> Sequence[ComposedJob]:
    return composed("act=relu,tanh,elu")


@pytest.fixture
def jobs(made: Sequence[ComposedJob], tmp_path: Path) -> list[PlannedJob]:
    return list(SweepPlan.make(tmp_path / "sweep", made, ["aa", "bb", "cc"]).jobs)


def leave(folder: Path, **record: Any) -> Path:
    """Writes the record of a run, and returns its directory."""
    folder.mkdir(parents=True)
    whole = {"run_hash": "bb", "status": "FINISHED", "started": 100.0, **record}
    (folder / "run.json").write_text(json.dumps(whole))
    return folder


def reused(jobs: list[PlannedJob], output_dir: Path) -> list[PlannedJob]:
    found, note = reuse_finished(jobs, ["data"] * len(jobs), output_dir)
    assert note is None
    return found


def statuses(jobs: list[PlannedJob]) -> list[str]:
    return [job.status for job in jobs]


def test_newest_finished_run_is_reused(jobs: list[PlannedJob], tmp_path: Path) -> None:
    output_dir = tmp_path / "outputs"
    leave(output_dir / "runs/2026-01-01/a", started=100)
    newest = leave(output_dir / "sweeps/2026-01-02/s/0_act=tanh", started=300.5)
    leave(output_dir / "runs/2026-01-01/b", started=200)
    assert reused(jobs, output_dir) == [jobs[1]]
    assert statuses(jobs) == ["PENDING", "REUSED", "PENDING"]
    assert [job.reused for job in jobs] == [None, str(newest), None]


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_unfinished_or_different_runs_are_not_reused(
    jobs: list[PlannedJob], tmp_path: Path, status: str
) -> None:
    leave(tmp_path / "runs/day/a", status=status)
    leave(tmp_path / "runs/day/b", run_hash="dd")
    assert reused(jobs, tmp_path) == []
    assert statuses(jobs) == ["PENDING"] * 3


def test_jobs_with_same_hash_reuse_the_same_run(jobs: list[PlannedJob], tmp_path: Path) -> None:
    jobs[0].run_hash = "bb"
    run = leave(tmp_path / "runs/day/a")
    assert reused(jobs, tmp_path) == jobs[:2]
    assert {job.reused for job in jobs[:2]} == {str(run)}


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"run_hash": ["bb"], "status": "FINISHED", "started": 900.0}',
        b'{"run_hash": "bb", "status": "FINISHED", "started": "today"}',
        b'{"run_hash": "bb", "status": "FINISHED", "started": null}',
        b'{"run_hash": "bb", "status": ["FINISHED"], "started": 900.0}',
    ],
)
def test_damaged_record_is_not_reused(
    jobs: list[PlannedJob], tmp_path: Path, damage: bytes
) -> None:
    (leave(tmp_path / "runs/day/damaged") / "run.json").write_bytes(damage)
    run = leave(tmp_path / "runs/day/whole")
    assert [job.reused for job in reused(jobs, tmp_path)] == [str(run)]


def test_nothing_is_reused_without_runs(jobs: list[PlannedJob], tmp_path: Path) -> None:
    assert reused(jobs, tmp_path / "nowhere") == []
    assert statuses(jobs) == [JobStatus.PENDING] * 3
