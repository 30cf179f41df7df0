"""Tests of the summary values of a sweep."""

import json
from pathlib import Path
from typing import Any

import pytest

from expt.runs.record_parts import JobStatus
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.results import results
from sweep.sweep_helpers import composed, planned

GIVEN = ("act=relu,tanh", "loss=mse,crossentropy", "seed=0", "name=study")


@pytest.fixture
def plan(tmp_path: Path) -> SweepPlan:
    return planned(tmp_path / "sweep", composed(*GIVEN))


def _end(job: PlannedJob, place: Path, loss: float, accuracy: float) -> None:
    best = {"step": 9, "watched": "val/loss", "val/loss": loss, "val/accuracy": accuracy}
    record: dict[str, Any] = {
        "status": "FINISHED",
        "started": 100.0,
        "run_name": job.name,
        "choices": job.job.choices,
        "larger_is_better": ["accuracy"],
        "best": best,
        "final": {"step": 20, "val/loss": 9.0, "test/accuracy": accuracy - 0.125},
    }
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.json").write_text(json.dumps(record))


def test_results_without_finished_jobs(plan: SweepPlan) -> None:
    plan.set_status(plan.jobs[1], JobStatus.FAILED, "it diverged")
    assert results(plan) == {
        "metrics": {"jobs": 4, "jobs_finished": 0, "jobs_failed": 1},
        "params": {},
    }


def test_best_of_different_losses_is_chosen_by_other_metric(
    plan: SweepPlan, tmp_path: Path
) -> None:
    values = [(0.01, 0.5), (0.9, 0.75), (0.02, 1.0)]
    for job, (loss, accuracy) in zip(plan.jobs, values, strict=False):
        _end(job, job.directory, loss, accuracy)
        plan.set_status(job, JobStatus.FINISHED)
    (plan.jobs[0].directory / "run.json").write_text("{")  # damaged, thus ignored
    elsewhere = tmp_path / "earlier"
    plan.jobs[3].reused = str(elsewhere)
    _end(plan.jobs[3], elsewhere, 0.8, 0.625)
    plan.set_status(plan.jobs[3], JobStatus.REUSED)
    found = results(plan)
    assert found["metrics"] == {
        "best/val/loss": 0.02,
        "best/val/accuracy": 1.0,
        "test/accuracy": 0.875,
        "jobs": 4,
        "jobs_finished": 4,
        "jobs_failed": 0,
    }
    assert found["params"] == {
        "best.run": plan.jobs[2].name,
        "best.act": "tanh",
        "best.loss": "mse",
    }
    _end(plan.jobs[3], elsewhere, 0.8, 1.125)
    assert results(plan)["params"]["best.loss"] == "crossentropy"
