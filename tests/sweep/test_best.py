"""Tests of the best job of a sweep."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from expt.config.job import ComposedJob
from expt.runs.record_parts import JobStatus
from expt.sweep.best import best_job
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from sweep.sweep_helpers import composed, planned


@pytest.fixture(scope="module")
def jobs() -> Sequence[ComposedJob]:
    return composed("act=relu,tanh,elu")


def write(directory: Path, loss: float) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    record = {
        "status": "FINISHED",
        "started": 1.0,
        "watched": "val/loss",
        "larger_is_better": [],
        "best": {"step": 1, "watched": "val/loss", "val/loss": loss},
    }
    (directory / "run.json").write_text(json.dumps(record))


def end(job: PlannedJob, status: JobStatus, loss: float) -> None:
    job.status = status
    write(job.directory, loss)


def found(plan: SweepPlan) -> tuple[Path, float] | None:
    best = best_job(plan)
    return None if best is None else (best[0].directory, best[1].value)


def test_best_job_is_a_finished_one(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    plan = planned(tmp_path, jobs)
    assert found(plan) is None
    end(plan.jobs[0], JobStatus.FINISHED, 0.5)
    end(plan.jobs[1], JobStatus.FINISHED, 0.25)
    end(plan.jobs[2], JobStatus.FAILED, 0.125)
    assert found(plan) == (plan.jobs[1].directory, 0.25)


@pytest.mark.parametrize("is_relative", [True, False])
def test_reused_run_counts_with_its_own_record(
    tmp_path: Path, jobs: Sequence[ComposedJob], is_relative: bool
) -> None:
    plan = planned(tmp_path / "sweep", jobs)
    end(plan.jobs[0], JobStatus.FINISHED, 0.5)
    write(tmp_path / "runs" / "earlier", 0.25)
    plan.jobs[1].status = JobStatus.REUSED
    plan.jobs[1].reused = "../runs/earlier" if is_relative else str(tmp_path / "runs" / "earlier")
    assert found(plan) == (plan.jobs[1].directory, 0.25)


def test_damaged_record_is_ignored(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    plan = planned(tmp_path, jobs)
    end(plan.jobs[0], JobStatus.FINISHED, 0.5)
    end(plan.jobs[1], JobStatus.FINISHED, 0.25)
    (plan.jobs[1].directory / "run.json").write_text("{")
    assert found(plan) == (plan.jobs[0].directory, 0.5)
