"""Tests of the limits of a sweep, with a launcher whose tasks have scripted results."""

import io
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from expt.runs.record_parts import JobStatus
from expt.sweep.jobs import JobOutcome
from expt.sweep.launchers import Event, Task, TaskEnded, TaskStarted
from expt.sweep.plan import SweepPlan
from expt.sweep.session import run_jobs
from sweep.sweep_helpers import composed, planned

pytestmark = pytest.mark.usefixtures("restored_log")


FAILED = JobOutcome(JobStatus.FAILED, "LookupError: no such word")
LONGEST = 20.0  # time limit of a test in seconds
KILLED_WORKER = "its process was killed by SIGKILL"


class ScriptedLauncher:
    """A launcher that ends tasks with given results, one at a time.

    Args:
        results: For each task, the return value of its function, the error of its worker process,
            or None for a task that runs until it is cancelled.
    """

    num_slots = 1

    def __init__(self, results: Sequence[JobOutcome | str | None]) -> None:
        self._results, self._events = deque(results), deque[Event]()
        self._endless: int | None = None
        self._end = time.monotonic() + LONGEST
        self._is_holding = False

    @property
    def is_idle(self) -> bool:
        return not self._events and self._endless is None

    def submit(self, task: Task) -> None:
        if self._is_holding:
            return
        self._events.append(TaskStarted(task.number))
        result = self._results.popleft()
        if result is None:
            self._endless = task.number
        elif isinstance(result, str):
            self._events.append(TaskEnded(task.number, error=result))
        else:
            self._events.append(TaskEnded(task.number, result))

    def next_event(self, seconds: float) -> Event | None:
        del seconds
        if time.monotonic() > self._end:
            pytest.fail("the endless task was not cancelled")
        return self._events.popleft() if self._events else None

    def cancel(self, number: int) -> None:
        if number == self._endless:
            self._endless = None
            self._events.append(TaskEnded(number, error=KILLED_WORKER))

    def hold(self) -> None:
        self._is_holding = True

    stop = hold

    def close(self) -> None:
        """Does nothing: there are no processes."""


def run(
    folder: Path, limit: str, *results: JobOutcome | str | None
) -> tuple[SweepPlan, list[str | None]]:
    """Runs a sweep of three jobs; returns its plan and the error of each job."""
    jobs = composed("act=relu,tanh,elu", "recorder=[]", f"output_dir={folder}", limit)
    plan = planned(folder / "sweep", jobs)
    console = Console(file=io.StringIO(), width=200)
    assert run_jobs(plan, ScriptedLauncher(results), console) == 1
    assert plan.facts["status"] == "FAILED"
    return plan, [job.error for job in plan.jobs]


def test_job_over_time_limit_is_cancelled_and_fails(tmp_path: Path) -> None:
    plan, errors = run(tmp_path, "sweep.timeout=0.05s", FAILED, None, FAILED)
    assert [job.status for job in plan.jobs] == [JobStatus.FAILED] * 3
    overdue = "it took longer than sweep.timeout=0.05 seconds"
    assert errors == [FAILED.error, overdue, FAILED.error]


def test_job_whose_process_dies_in_time_fails_with_that_error(tmp_path: Path) -> None:
    _, errors = run(tmp_path, "sweep.timeout=10min", FAILED, KILLED_WORKER, FAILED)
    assert errors == [FAILED.error, KILLED_WORKER, FAILED.error]


def test_no_jobs_start_after_max_failures(tmp_path: Path) -> None:
    plan, errors = run(tmp_path, "sweep.max_failures=2", FAILED, KILLED_WORKER)
    statuses = [JobStatus.FAILED, JobStatus.FAILED, JobStatus.PENDING]
    assert [job.status for job in plan.jobs] == statuses
    assert errors == [FAILED.error, KILLED_WORKER, None]
