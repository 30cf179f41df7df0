"""Tests of the scheduler with workers that fail to start; tests/e2e/test_sweep.py trains jobs."""

import errno
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from expt.errors import RunError
from expt.runs.record_parts import JobStatus
from expt.sweep.jobs import JobOutcome, PlannedJob
from expt.sweep.launchers import Event, Task, TaskEnded, TaskStarted
from expt.sweep.launchers.local import LocalLauncher
from expt.sweep.plan import SweepPlan
from expt.sweep.proposed_jobs import ProposedJobs
from expt.sweep.session import run_jobs
from expt.train.data_loading import DataLoader
from sweep.sweep_helpers import composed, planned

pytestmark = pytest.mark.usefixtures("restored_log")


class ExitingLoader(DataLoader):
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_jobs_fail_if_worker_process_dies_before_start(tmp_path: Path) -> None:
    jobs = composed("act=relu,tanh,elu", "recorder=[]", f"output_dir={tmp_path}")
    plan, output = planned(tmp_path / "sweep", jobs), io.StringIO()
    workers = LocalLauncher(num_jobs=3, num_workers=1, load=ExitingLoader())
    assert run_jobs(plan, workers, Console(file=output, width=200)) == 1
    assert [job.status for job in plan.jobs] == ["FAILED"] * 3
    assert all(job.error for job in plan.jobs)
    assert plan.facts["status"] == "FAILED"
    assert "3/3 FAILED mlp-elu" in output.getvalue()


@dataclass
class FullDisk:
    """A launcher whose tasks fail because the disk is full; as `ProposedJobs`, it fails, too."""

    num_slots = 1
    is_done = False
    _events: list[Event] = field(default_factory=list)

    @property
    def is_idle(self) -> bool:
        return not self._events

    def submit(self, task: Task) -> None:
        error = (
            "RunError: run/metrics.jsonl can't be written: No space left on device. All records so "
            "far are intact.\nFree some disk space.\nTo continue: python -m expt.resume run"
        )
        outcome = JobOutcome(JobStatus.FAILED, error, is_disk_full=True)
        self._events += [TaskStarted(task.number), TaskEnded(task.number, outcome)]

    def next_event(self, seconds: float) -> Event | None:
        del seconds
        return self._events.pop(0) if self._events else None

    def cancel(self, number: int) -> None:
        raise NotImplementedError

    def hold(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...

    def begin(self, plan: SweepPlan, ended: list[PlannedJob]) -> None: ...

    def ask(self, plan: SweepPlan, *, is_idle: bool) -> list[PlannedJob]:  # noqa: ARG002
        raise OSError(errno.ENOSPC, "No space left on device", str(plan.directory / "sweep.json"))


class TestFullDisk:
    """The message names one command only, which continues the sweep and not a single job."""

    def test_of_a_job(self, tmp_path: Path) -> None:
        jobs = composed("act=relu,tanh", "recorder=[]", f"output_dir={tmp_path}")
        plan = planned(tmp_path / "sweep", jobs)
        with pytest.raises(RunError) as raised:
            run_jobs(plan, FullDisk(), Console(file=io.StringIO()))
        assert str(raised.value) == (
            "RunError: run/metrics.jsonl can't be written: No space left on device. All records so "
            "far are intact.\nNo further jobs were started. Free some disk space.\n"
            f"To continue: python -m expt.resume {plan.quoted}"
        )
        assert [job.status for job in plan.jobs] == ["KILLED", "PENDING"]

    def test_of_the_plan(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = composed("act=relu,tanh", "recorder=[]", f"output_dir={tmp_path}")
        plan, disk = planned(tmp_path / "sweep", jobs), FullDisk()
        monkeypatch.setattr(plan, "unfinished", lambda **_: [])
        with pytest.raises(RunError) as raised:
            run_jobs(plan, disk, Console(file=io.StringIO()), proposed=cast("ProposedJobs", disk))
        assert str(raised.value) == (
            f"{plan.directory / 'sweep.json'}: No space left on device.\n"
            "No further jobs were started. Free some disk space.\n"
            f"To continue: python -m expt.resume {plan.quoted}"
        )
