"""The scheduler of a sweep: which job runs when, its status, and the sweep's limits."""

import logging
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from rich.console import Console

from expt.config.cadence import parse_seconds
from expt.errors import RunError, Terminated
from expt.record.mlflow.recorder import restoring
from expt.record.mlflow.store import DELETED
from expt.record.phases import Phases, command_phases, lap_seconds
from expt.runs.environment import process
from expt.runs.records import JobStatus
from expt.runs.run import Run, Status
from expt.sweep.jobs import ENDED_WELL, JobOutcome, PlannedJob
from expt.sweep.launchers import Began, Ended, Event, Launcher, Task, worker
from expt.sweep.mirror import SweepMirror
from expt.sweep.plan import SweepPlan
from expt.sweep.summary import exit_code, print_outcome, show_comparison
from expt.sweep.view import View
from expt.train.launch import log_to
from expt.train.signals import Interruption, deferred_signals

_log = logging.getLogger(__name__)
_TICK = 0.2  # seconds
_LOG_FILE = "sweep.log"


@dataclass(frozen=True)
class Limits:
    """What a sweep may take.

    Attributes:
        timeout: Seconds that a job may take; None for any.
        max_failures: Failed jobs after which no more begin; None for any.
    """

    timeout: float | None
    max_failures: int | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Limits":
        """Reads them from a job's config."""
        sweep = config["sweep"]
        return cls(parse_seconds(sweep["timeout"]), sweep["max_failures"])


def to_do(plan: SweepPlan, *, retry_failed: bool) -> list[PlannedJob]:
    """Returns the jobs that have not ended yet, or are tried again."""
    done = ENDED_WELL if retry_failed else (*ENDED_WELL, JobStatus.FAILED)
    return [job for job in plan.jobs if job.status not in done]


def run_jobs(
    plan: SweepPlan,
    limits: Limits,
    launcher: Launcher,
    console: Console,
    *,
    seconds: float | None = None,
    retry_failed: bool = False,
) -> int:
    """Trains the jobs of a plan that have not ended yet.

    Args:
        plan: Is kept up to date.
        limits: What the sweep may take.
        launcher: An idle one; it is closed at the end.
        console: Where a line for each job is printed, and a table at the end.
        seconds: About how long a job takes, if that is known.
        retry_failed: Whether failed jobs are tried again, too.

    Returns:
        The exit code: 0 if all jobs have ended well, else 1.

    Raises:
        RunError: The sweep can't continue: a disk is full.
        KeyboardInterrupt: Ctrl-C; all runs are closed.
        Terminated: SIGTERM; likewise.
    """
    log_to(plan.directory / _LOG_FILE)
    command_phases().start_log()
    with deferred_signals() as interruption:
        view = View(plan, console, launcher.num_slots, seconds)
        scheduler = Scheduler(plan, limits, launcher, view)
        try:
            scheduler.run(interruption, retry_failed)
        finally:
            scheduler.close(console)
    return exit_code(plan)


class Scheduler:
    """Handles all events of a sweep, on one thread."""

    def __init__(self, plan: SweepPlan, limits: Limits, launcher: Launcher, view: View) -> None:
        self._plan, self._limits, self._launcher, self._view = plan, limits, launcher, view
        self._mirror = SweepMirror(plan)
        self._status = Status.FAILED
        self._disk_error: str | None = None
        self._waiting: Iterator[PlannedJob] = iter(())
        self._submitted: dict[int, PlannedJob] = {}  # by the numbers of their tasks
        self._deadlines: dict[int, float] = {}  # of the running tasks
        self._is_holding = self._is_stopping = False
        self._num_failures = 0  # those of a previous process don't count

    def run(self, interruption: Interruption, retry_failed: bool) -> None:
        """Trains; returns once all jobs that began have ended."""
        plan = self._plan
        self._update(status=Status.RUNNING, ended=None, process=process(), is_complete=False)
        left = self._submit_first(retry_failed)
        self._view.start()
        try:
            while left and not self._is_holding:
                interruption.check()
                left -= self._handle(self._launcher.next_event(_TICK))
        except (KeyboardInterrupt, Terminated):
            self._status = Status.KILLED
            self._stop()
            raise
        finally:
            while not self._launcher.is_idle:
                self._handle(self._launcher.next_event(_TICK))
        if self._disk_error is not None:
            where = shlex.quote(os.path.relpath(plan.directory))
            raise RunError(
                f"{self._disk_error} No more jobs were begun. Free some space, then continue "
                f"with: python -m expt.resume {where}"
            )
        if plan.count(*ENDED_WELL) == len(plan.jobs):
            self._status = Status.FINISHED

    def close(self, console: Console) -> None:
        """Completes MLflow's copies, and prints the results."""
        phases = Phases(console)
        self._view.stop()
        self._launcher.close()
        plan, is_shown = self._plan, self._status is not Status.KILLED and not self._disk_error
        self._update(status=self._status, ended=time.time())
        if is_shown:
            show_comparison(plan, phases)
        with phases("completing MLflow"):
            failure = self._mirror.finish()
        self._update(is_complete=failure is None)
        print_outcome(plan, console, lap_seconds())
        if failure is not None:
            where = shlex.quote(os.path.relpath(plan.directory))
            way = f"To complete it: python -m expt.resume {where}"
            if DELETED in failure:
                way = restoring(plan.directory)
            _log.warning("mlflow: incomplete: %s. %s", failure, way)

    def _submit_first(self, retry_failed: bool) -> int:
        """Submits a job for each slot; returns how many jobs there are to do."""
        for job in to_do(self._plan, retry_failed=retry_failed):
            record = job.record()
            if record is not None and record["status"] == Status.FINISHED:
                self._note(job, JobStatus.FINISHED)  # the sweep was killed before it saw that
        jobs = to_do(self._plan, retry_failed=retry_failed)
        places = {job.directory for job in jobs}
        for job in self._plan.jobs:
            if job.directory not in places:
                self._mirror.end(job)
        self._waiting = iter(jobs)
        for _ in range(self._launcher.num_slots):
            self._submit_next()
        return len(jobs)

    def _submit_next(self) -> None:
        """Submits the next job: only for a free slot, for too many may have failed by then."""
        job = next(self._waiting, None)
        if job is None:
            return
        member = self._plan.membership(job)
        arguments = (job.job, job.directory, job.record(), member, job.code)
        task = Task(worker.train, arguments, threads=job.job.config["loop"]["threads"])
        self._submitted[task.number] = job
        self._launcher.submit(task)

    def _handle(self, event: Event | None) -> bool:
        """Handles an event; returns whether a job has ended."""
        if isinstance(event, Began):
            job = self._submitted[event.number]
            if self._limits.timeout is not None:
                self._deadlines[event.number] = time.monotonic() + self._limits.timeout
            self._note(job, JobStatus.RUNNING)
            self._view.begin(job)
        elif isinstance(event, Ended):
            self._end(self._submitted.pop(event.number), event)
        self._cancel_overdue()
        for job in self._plan.jobs:
            if job.status is JobStatus.RUNNING:
                self._mirror.look(job)
        self._mirror.advance()
        self._view.refresh()
        return isinstance(event, Ended)

    def _cancel_overdue(self) -> None:
        for number, deadline in self._deadlines.items():
            if time.monotonic() > deadline:
                self._launcher.cancel(number)

    def _end(self, job: PlannedJob, event: Ended) -> None:
        deadline = self._deadlines.pop(event.number, inf)
        if job.status is not JobStatus.RUNNING and event.death is None:  # held before it began
            return
        outcome = self._outcome_of(event, is_overdue=time.monotonic() > deadline)
        if outcome.is_disk_full:
            self._stop_for(outcome.error)
            outcome = replace(outcome, status=JobStatus.KILLED)  # it continues with the sweep
        self._num_failures += outcome.status is JobStatus.FAILED
        limit = self._limits.max_failures
        if limit is not None and self._num_failures >= limit:
            self._hold()
        self._submit_next()
        if outcome.status is not JobStatus.FINISHED:
            self._correct(job, outcome.status, outcome.error)
        job.run_hash = outcome.record.get("run_hash", job.run_hash)  # a resumed run's may differ
        self._note(job, outcome.status, outcome.error)
        self._mirror.end(job)
        self._view.end(job, outcome.record)

    def _outcome_of(self, event: Ended, *, is_overdue: bool) -> JobOutcome:
        """Returns the outcome of a job, also if its process died."""
        if event.value is not None:
            outcome: JobOutcome = event.value
            return outcome
        if self._is_stopping:
            return JobOutcome(JobStatus.KILLED)
        reason = event.death
        if is_overdue:
            reason = f"it took longer than sweep.timeout={self._limits.timeout:g} seconds"
        return JobOutcome(JobStatus.FAILED, reason)

    def _correct(self, job: PlannedJob, status: JobStatus, error: str | None) -> None:
        """Closes the run of a job whose process could not do so."""
        record = job.record()
        if record is None or record["status"] == status:
            return
        run = Run(job.directory, self._plan.output_dir, {}, {}, record)
        try:
            run.update(status=Status(status), error=error, ended=time.time())
        except OSError as failure:
            self._stop_for(str(failure))

    def _note(self, job: PlannedJob, status: JobStatus, error: str | None = None) -> None:
        try:
            self._plan.note(job, status, error)
        except OSError as failure:
            self._stop_for(f"{failure.filename or self._plan.directory}: {failure.strerror}.")

    def _update(self, **facts: Any) -> None:
        try:
            self._plan.update(**facts)
        except OSError as failure:
            self._stop_for(f"{failure.filename or self._plan.directory}: {failure.strerror}.")

    def _hold(self) -> None:
        self._is_holding = True
        self._launcher.hold()

    def _stop(self) -> None:
        self._is_holding = self._is_stopping = True
        self._launcher.stop()

    def _stop_for(self, disk_error: str | None) -> None:
        """Ends the sweep because no more can be written."""
        self._disk_error = self._disk_error or disk_error
        self._stop()
