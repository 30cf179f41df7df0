"""Training the jobs of a plan: what is told meanwhile, and what becomes of those that die."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from expt.errors import Terminated
from expt.record.run import Run, Status
from expt.sweep.plan import ENDED_WELL, JobStatus, Plan, PlannedJob
from expt.sweep.worker import Outcome
from expt.sweep.workers import Task, Workers
from expt.train.cadence import parse_seconds

_TELLING = ("val/", "test/")


@dataclass(frozen=True)
class Limits:
    """What a sweep may take.

    Attributes:
        workers: How many jobs train at once; None for as many as there are cores.
        timeout: Seconds that a job may take; None for any.
        max_failures: Failed jobs after which no more begin; None for any.
    """

    workers: int | None
    timeout: float | None
    max_failures: int | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Limits":
        """Reads them from a job's config."""
        sweep = config["sweep"]
        return cls(sweep["workers"], parse_seconds(sweep["timeout"]), sweep["max_failures"])


def conduct(plan: Plan, limits: Limits, console: Console, *, retry_failed: bool = False) -> int:
    """Trains the jobs of a plan that have not ended yet.

    Args:
        plan: Is kept up to date.
        limits: What the sweep may take.
        console: Where a line a job is printed, and a table at the end.
        retry_failed: Whether jobs that have failed are tried again, too.

    Returns:
        The exit code: 0 if all jobs have ended well, else 1.

    Raises:
        KeyboardInterrupt: Ctrl-C; all runs are closed.
        Terminated: SIGTERM; likewise.
    """
    done = ENDED_WELL if retry_failed else (*ENDED_WELL, JobStatus.FAILED)
    conductor = _Conductor(plan, limits, console)
    try:
        conductor.run([job for job in plan.jobs if job.status not in done])
    finally:
        conductor.complete_records()
        conductor.print_failures()
    return 0 if all(job.status in ENDED_WELL for job in plan.jobs) else 1


class _Conductor:
    def __init__(self, plan: Plan, limits: Limits, console: Console) -> None:
        self._plan, self._limits, self._console = plan, limits, console
        self._lock = threading.Lock()
        self._began: dict[int, float] = {}
        self._died: list[Path] = []
        number = limits.workers or os.cpu_count() or 1
        self._workers = Workers(number, limits.timeout, self._begin, self._end)

    def run(self, jobs: Sequence[PlannedJob]) -> None:
        waiting = [
            Task(number, job.job, job.directory, _earlier(job))
            for number, job in enumerate(self._plan.jobs)
            if job in jobs
        ]
        try:
            self._workers.run(waiting)
        except (KeyboardInterrupt, Terminated):
            for job in self._plan.jobs:
                if job.status is JobStatus.RUNNING:
                    self._plan.note(job, JobStatus.KILLED)
            raise

    def complete_records(self) -> None:
        """Completes MLflow's copies of the runs whose processes died."""
        if self._died:
            command = [sys.executable, "-m", "expt.sync", *map(str, self._died)]
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)

    def print_failures(self) -> None:
        """Prints the jobs that did not end well, and how the sweep goes on."""
        others = [job for job in self._plan.jobs if job.status not in ENDED_WELL]
        finished = len(self._plan.jobs) - len(others)
        self._console.print(f"{finished} of {len(self._plan.jobs)} jobs finished")
        if not others:
            return
        table = Table("status", "job", "why", box=None, header_style="", pad_edge=False)
        for job in others:
            table.add_row(job.status, job.name, job.error)
        self._console.print(table, highlight=False)
        where = shlex.quote(os.path.relpath(self._plan.directory))
        self._console.print(f"python -m expt.resume {where} goes on", soft_wrap=True)

    def _begin(self, number: int) -> None:
        self._began[number] = time.monotonic()
        self._plan.note(self._plan.jobs[number], JobStatus.RUNNING)

    def _end(self, number: int, outcome: Outcome) -> None:
        job, seconds = self._plan.jobs[number], time.monotonic() - self._began[number]
        if outcome.status is JobStatus.FAILED:
            self._close(job, outcome)
        self._plan.note(job, outcome.status, outcome.error)
        values = "  ".join(
            f"{name} {value:.4f}"
            for name, value in outcome.values.items()
            if name.startswith(_TELLING)
        )
        with self._lock:
            done = sum(
                each.status not in (JobStatus.PENDING, JobStatus.RUNNING)
                for each in self._plan.jobs
            )
            self._console.print(
                f"{done}/{len(self._plan.jobs)} {outcome.status} {job.name}  "
                f"{outcome.error or values}  {seconds:.1f} s",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            failures = sum(each.status is JobStatus.FAILED for each in self._plan.jobs)
        most = self._limits.max_failures
        if most is not None and failures >= most:
            self._workers.stop()

    def _close(self, job: PlannedJob, outcome: Outcome) -> None:
        """Closes the run of a job whose process could not do so."""
        record = _earlier(job)
        if record is None or record["status"] == Status.FAILED:
            return
        run = Run(job.directory, Path(job.job.config["output_dir"]), {}, {}, record)
        run.update(status=Status.FAILED, error=outcome.error, ended=time.time())
        self._died.append(job.directory)


def _earlier(job: PlannedJob) -> dict[str, Any] | None:
    """The record of a job's run, if it has begun."""
    file = job.directory / "run.json"
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record
