"""Training the jobs of a plan: what is told meanwhile, and what becomes of those that die."""

import logging
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from expt.config.cadence import parse_seconds
from expt.config.schema import THREADS
from expt.errors import RunError, Terminated
from expt.record.mlflow.recorder import restoring
from expt.record.mlflow.store import DELETED
from expt.record.phases import Phases, command_phases, lap_seconds
from expt.runs.cores import usable_cores
from expt.runs.environment import process
from expt.runs.run import Run, Status
from expt.sweep import worker
from expt.sweep.devices import environments, gpus
from expt.sweep.following import Following
from expt.sweep.outcome import exit_code, print_outcome, show_comparison
from expt.sweep.plan import ENDED_WELL, JobStatus, Plan, PlannedJob
from expt.sweep.view import View
from expt.sweep.workers import Began, Ended, Workers
from expt.train.data_loading import DataLoader
from expt.record.log_files import log_to
from expt.train.signals import Interruption, deferred_signals

_log = logging.getLogger(__name__)
_TICK = 0.2  # seconds
_LOG_FILE = "sweep.log"


@dataclass(frozen=True)
class Limits:
    """What a sweep may take.

    Attributes:
        workers: How many jobs train at once; None for as many as there are GPUs, or cores.
        timeout: Seconds that a job may take; None for any.
        max_failures: Failed jobs after which no more begin; None for any.
        threads: That an operation of the first job takes; the workers begin with as many.
    """

    workers: int | None
    timeout: float | None
    max_failures: int | None
    threads: int = THREADS

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Limits":
        """Reads them from a job's config."""
        sweep, threads = config["sweep"], config["loop"]["threads"]
        timeout = parse_seconds(sweep["timeout"])
        return cls(sweep["workers"], timeout, sweep["max_failures"], threads)

    def start_workers(self, jobs: int, load: DataLoader) -> Workers:
        """Starts as many workers as some jobs need, at most as many as the limits allow.

        Args:
            jobs: How many there are.
            load: Loads their data; a copy goes to each worker.
        """
        devices = gpus()
        number = min(self.workers or len(devices) or usable_cores(), jobs)
        return Workers(environments(number, devices), usable_cores(), load, self.threads)


def to_do(plan: Plan, *, retry_failed: bool) -> list[PlannedJob]:
    """Returns the jobs that have not ended yet, or are to be tried again."""
    done = ENDED_WELL if retry_failed else (*ENDED_WELL, JobStatus.FAILED)
    return [job for job in plan.jobs if job.status not in done]


def conduct(
    plan: Plan,
    limits: Limits,
    workers: Workers,
    console: Console,
    *,
    seconds: float | None = None,
    retry_failed: bool = False,
) -> int:
    """Trains the jobs of a plan that have not ended yet.

    Args:
        plan: Is kept up to date.
        limits: What the sweep may take.
        workers: Free ones.
        console: Where a line a job is printed, and a table at the end.
        seconds: About how long a job takes, if that is known.
        retry_failed: Whether jobs that have failed are tried again, too.

    Returns:
        The exit code: 0 if all jobs have ended well, else 1.

    Raises:
        RunError: The sweep can't go on: a disk is full.
        KeyboardInterrupt: Ctrl-C; all runs are closed.
        Terminated: SIGTERM; likewise.
    """
    log_to(plan.directory / _LOG_FILE)
    command_phases().start_log()
    with deferred_signals() as interruption:
        view = View(plan, console, workers.number, seconds)
        conductor = _Conductor(plan, limits, workers, view)
        try:
            conductor.run(interruption, retry_failed)
        finally:
            conductor.close(console)
    return exit_code(plan)


class _Conductor:
    """Handles all events of a sweep, on one thread."""

    def __init__(self, plan: Plan, limits: Limits, workers: Workers, view: View) -> None:
        self._plan, self._limits, self._workers, self._view = plan, limits, workers, view
        self._following = Following(plan)
        self._status = Status.FAILED
        self._disk_error: str | None = None
        self._waiting: Iterator[tuple[int, PlannedJob]] = iter(())
        self._failures = 0  # those of an earlier process don't count

    def run(self, interruption: Interruption, retry_failed: bool) -> None:
        """Trains; returns once all has ended that had begun."""
        plan = self._plan
        self._update(status=Status.RUNNING, ended=None, process=process(), is_complete=False)
        left = self._submit(retry_failed)
        self._view.start()
        try:
            while left and not self._workers.is_holding:
                interruption.check()
                left -= self._handle(self._workers.next(_TICK))
        except (KeyboardInterrupt, Terminated):
            self._status = Status.KILLED
            self._workers.stop()
            raise
        finally:
            while not self._workers.is_idle:
                self._handle(self._workers.next(_TICK))
        if self._disk_error is not None:
            where = shlex.quote(os.path.relpath(plan.directory))
            raise RunError(
                f"{self._disk_error} No more jobs were begun. Free some space, then continue "
                f"with: python -m expt.resume {where}"
            )
        if plan.count(*ENDED_WELL) == len(plan.jobs):
            self._status = Status.FINISHED

    def close(self, console: Console) -> None:
        """Completes MLflow's copies, and shows what came out."""
        phases = Phases(console)
        self._view.stop()
        self._workers.close()
        plan, is_shown = self._plan, self._status is not Status.KILLED and not self._disk_error
        self._update(status=self._status, ended=time.time())
        if is_shown:
            show_comparison(plan, phases)
        with phases("completing MLflow"):
            failure = self._following.finish()
        self._update(is_complete=failure is None)
        print_outcome(plan, console, lap_seconds())
        if failure is not None:
            where = shlex.quote(os.path.relpath(plan.directory))
            way = f"To complete it: python -m expt.resume {where}"
            if DELETED in failure:
                way = restoring(plan.directory)
            _log.warning("mlflow: incomplete: %s. %s", failure, way)

    def _submit(self, retry_failed: bool) -> int:
        """Hands the first jobs that have not ended to the workers; returns how many there are."""
        for job in to_do(self._plan, retry_failed=retry_failed):
            record = job.record()
            if record is not None and record["status"] == Status.FINISHED:
                self._note(job, JobStatus.FINISHED)  # the sweep was killed before it saw that
        places = {job.directory for job in to_do(self._plan, retry_failed=retry_failed)}
        for job in self._plan.jobs:
            if job.directory not in places:
                self._following.end(job)
        jobs = enumerate(self._plan.jobs)
        self._waiting = iter([pair for pair in jobs if pair[1].directory in places])
        for _ in range(self._workers.number):
            self._hand_out()
        return len(places)

    def _hand_out(self) -> None:
        """Hands the next job to a worker: only when one is free, for too many may have failed."""
        number, job = next(self._waiting, (0, None))
        if job is not None:
            self._workers.submit(
                number,
                worker.train,
                job.job,
                job.directory,
                job.record(),
                self._plan.membership(job),
                job.code,
                timeout=self._limits.timeout,
                threads=job.job.config["loop"]["threads"],
            )

    def _handle(self, event: Began | Ended | None) -> bool:
        """Takes note of an event; returns whether a job has ended."""
        if isinstance(event, Began):
            job = self._plan.jobs[event.number]
            self._note(job, JobStatus.RUNNING)
            self._view.begin(job)
        elif isinstance(event, Ended):
            self._end(self._plan.jobs[event.number], event)
        for job in self._plan.jobs:
            if job.status is JobStatus.RUNNING:
                self._following.look(job)
        self._following.advance()
        self._view.refresh()
        return isinstance(event, Ended)

    def _end(self, job: PlannedJob, event: Ended) -> None:
        has_begun = job.status is JobStatus.RUNNING
        if not has_begun and event.death is None:  # the workers were held before
            return
        outcome = event.value or worker.Outcome(JobStatus.FAILED, event.death)
        if outcome.is_disk_full:
            self._stop_for(outcome.error)
            outcome = replace(outcome, status=JobStatus.KILLED)  # it goes on with the sweep
        elif self._workers.is_stopped and event.value is None:
            outcome = worker.Outcome(JobStatus.KILLED)
        self._failures += outcome.status is JobStatus.FAILED
        if self._limits.max_failures is not None and self._failures >= self._limits.max_failures:
            self._workers.hold()
        self._hand_out()
        if outcome.status is not JobStatus.FINISHED:
            self._correct(job, outcome.status, outcome.error)
        job.run_hash = outcome.record.get("run_hash", job.run_hash)  # a resumed run's may differ
        self._note(job, outcome.status, outcome.error)
        self._following.end(job)
        self._view.end(job, outcome.record)

    def _correct(self, job: PlannedJob, status: JobStatus, error: str | None) -> None:
        """Lets the run of a job whose process could not do so say how it ended."""
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

    def _stop_for(self, disk_error: str | None) -> None:
        """Ends the sweep because no more can be written."""
        self._disk_error = self._disk_error or disk_error
        self._workers.stop()
