"""The scheduler of a sweep: starts jobs, records their statuses and enforces the sweep's limits."""

import logging
import time
from collections import deque
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from rich.console import Console

from expt.errors import RunError, Terminated
from expt.record.mlflow.recorder import restore_advice
from expt.record.mlflow.store import DELETED
from expt.record.phases import Phases, lap_seconds
from expt.runs.environment import process
from expt.runs.record_parts import JobStatus
from expt.runs.run import Run, Status
from expt.sweep.job_order import next_job
from expt.sweep.jobs import SUCCESSFUL, JobOutcome, PlannedJob
from expt.sweep.launchers import Event, Launcher, Task, TaskEnded, TaskStarted, worker
from expt.sweep.limits import Deadlines, Limits
from expt.sweep.mirror import JobMirrors, is_followed
from expt.sweep.plan import SweepPlan
from expt.sweep.preflight import CHECK_TIMEOUT, check_task, result_of_check
from expt.sweep.proposed_jobs import ProposedJobs
from expt.sweep.summary import prepare_comparison, print_outcome, show_comparison
from expt.sweep.view import SweepView
from expt.train.signals import Interruption

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2


class Scheduler:
    """Starts the jobs of a sweep and handles the launcher's events, all on one thread.

    A job passes through these steps: pending in the plan, waiting for a slot, submitted to the
    launcher, running, ended. Jobs that a sweeper adds later are checked with one batch before they
    wait for a slot.
    """

    def __init__(
        self, plan: SweepPlan, launcher: Launcher, view: SweepView, proposed: ProposedJobs | None
    ) -> None:
        self._plan, self._launcher, self._view = plan, launcher, view
        self._proposed = proposed
        self._limits = Limits.of(plan.jobs[0].job.config)
        self._mirror = JobMirrors(plan)
        self._status = Status.FAILED
        self._disk_error: str | None = None
        self._waiting: deque[PlannedJob] = deque()
        self._jobs: dict[int, PlannedJob] = {}  # task number -> job
        self._checks: dict[int, list[PlannedJob]] = {}  # task number -> jobs that it checks
        self._deadlines = Deadlines()
        self._ended: PlannedJob | None = None  # the job that the latest free worker ran
        self._is_holding = self._is_stopping = self._has_started = False
        # Failures in previous processes do not count. Otherwise, a resumed sweep that
        # `sweep.max_failures` had stopped would stop again at its next failure.
        self._num_failures = 0

    def run(self, interruption: Interruption, retry_failed: bool) -> None:
        """Trains the jobs, and returns when all jobs that were started have ended."""
        plan = self._plan
        self._update(status=Status.RUNNING, ended=None, process=process(), is_complete=False)
        self._prepare(retry_failed)
        self._view.start()
        try:
            self._fill_slots()
            while (self._jobs or self._checks) and not self._is_holding:
                interruption.check()
                self._handle(self._launcher.next_event(_POLL_SECONDS))
                self._fill_slots()
        except (KeyboardInterrupt, Terminated):
            self._status = Status.KILLED
            self._stop()
            raise
        finally:
            # Interrupted jobs still write a checkpoint and close their runs.
            while not self._launcher.is_idle:
                self._handle(self._launcher.next_event(_POLL_SECONDS))
        if self._disk_error is not None:
            raise RunError(
                f"{self._disk_error}\nNo further jobs were started. Free some disk space.\n"
                f"To continue: python -m expt.resume {plan.quoted}"
            )
        is_whole = self._proposed is None or self._proposed.is_done
        if is_whole and plan.count(*SUCCESSFUL) == len(plan.jobs):
            self._status = Status.FINISHED

    def close(self, console: Console) -> None:
        """Completes the MLflow mirrors, and prints the results of the sweep."""
        phases = Phases(console)
        self._view.stop()
        self._launcher.close()  # frees the cores for the comparison
        plan, is_shown = self._plan, self._status is not Status.KILLED and not self._disk_error
        self._update(status=self._status, ended=time.time())
        if is_shown:
            show_comparison(plan, phases)
        with phases("completing MLflow") if is_followed(plan) else nullcontext():
            failure = self._mirror.finish()
        self._update(is_complete=failure is None)
        print_outcome(plan, console, lap_seconds())
        if failure is not None:
            advice = f"To complete it: python -m expt.resume {plan.quoted}"
            if DELETED in failure:
                advice = restore_advice(plan.directory)
            _log.warning("mlflow: incomplete: %s. %s", failure, advice)

    def _prepare(self, retry_failed: bool) -> None:
        """Queues the unfinished jobs, and reports the ended ones to the mirrors and the sweeper."""
        for job in self._plan.unfinished(retry_failed=retry_failed):
            record = job.record()
            if record is not None and record.status == Status.FINISHED:
                # The sweep was killed after the end of the run, before it could record the end of
                # the job.
                self._set_status(job, JobStatus.FINISHED)
        jobs = self._plan.unfinished(retry_failed=retry_failed)
        unfinished = {job.directory for job in jobs}
        ended = [job for job in self._plan.jobs if job.directory not in unfinished]
        for job in ended:
            self._mirror.end(job)  # its MLflow mirror may still be incomplete
        self._waiting.extend(jobs)
        if self._proposed is not None:
            self._proposed.begin(self._plan, ended)

    def _fill_slots(self) -> None:
        """Submits one job per free slot.

        No jobs are queued in the launcher, because `sweep.max_failures` may be reached before a
        slot is free.
        """
        while len(self._jobs) + len(self._checks) < self._launcher.num_slots:
            if self._is_holding or not (self._waiting or self._add_proposed()):
                return
            if self._waiting:
                index = next_job(self._waiting, self._jobs.values(), self._ended)
                job, self._ended = self._waiting[index], None
                del self._waiting[index]
                self._submit(job)

    def _submit(self, job: PlannedJob) -> None:
        member = self._plan.membership(job)
        arguments = (job.job, job.directory, job.record(), member, job.code)
        task = Task(worker.train, arguments, threads=job.job.config.loop.threads)
        self._jobs[task.number] = job
        self._launcher.submit(task)

    def _add_proposed(self) -> bool:
        """Adds the sweeper's next jobs to the plan, and submits one check per kind of job.

        Jobs that differ only in their seed are of the same kind.

        Returns:
            Whether there are new jobs.
        """
        if self._proposed is None or self._proposed.is_done:
            return False
        try:
            is_idle = not (self._jobs or self._checks)
            jobs = self._proposed.ask(self._plan, is_idle=is_idle)
        except OSError as failure:
            self._stop_for_disk(_disk_message(failure, self._plan))
            return False
        except BaseException:
            # The sweeper failed: running jobs still continue to their end, which `run` waits for.
            self._hold()
            raise
        for jobs_of_kind in self._proposed.kinds(jobs):
            task = check_task(jobs_of_kind[0], is_measured=False)
            self._checks[task.number] = jobs_of_kind
            self._launcher.submit(task)
        for job in jobs:
            if job.status is JobStatus.REUSED:
                self._proposed.report(job)
        return bool(jobs)

    def _handle(self, event: Event | None) -> None:
        """Handles an event of the launcher, and updates time limits, mirrors and view."""
        if isinstance(event, TaskStarted) and event.number in self._jobs:
            job = self._jobs[event.number]
            self._deadlines.begin(event.number, self._limits.timeout)
            if not self._has_started:
                self._has_started = True
                prepare_comparison()
            self._set_status(job, JobStatus.RUNNING)
            self._view.begin(job)
        elif isinstance(event, TaskStarted):
            self._deadlines.begin(event.number, CHECK_TIMEOUT)
        elif isinstance(event, TaskEnded) and event.number in self._jobs:
            self._handle_job_end(self._jobs.pop(event.number), event)
        elif isinstance(event, TaskEnded):
            self._handle_check_end(self._checks.pop(event.number), event)
        for number in self._deadlines.overdue():
            self._launcher.cancel(number)
        for job in self._jobs.values():
            if job.status is JobStatus.RUNNING:
                self._mirror.follow(job)  # has an effect once run.json exists, which takes a moment
        self._mirror.advance()
        self._view.refresh()

    def _handle_check_end(self, jobs: list[PlannedJob], event: TaskEnded) -> None:
        """Queues the jobs that a check covers if it was successful; else marks them as failed."""
        is_overdue = self._deadlines.end(event.number)
        result = result_of_check(event, is_overdue=is_overdue)
        if self._is_holding:  # the jobs stay pending until the sweep is resumed
            return
        if result.error is None:
            self._waiting.extend(jobs)
            return
        for job in jobs:
            self._finish(job, JobOutcome(JobStatus.FAILED, result.error))

    def _handle_job_end(self, job: PlannedJob, event: TaskEnded) -> None:
        self._ended = job
        is_overdue = self._deadlines.end(event.number)
        if job.status is not JobStatus.RUNNING and event.error is None:
            return  # dropped by `hold` before it started; the job stays pending
        outcome = self._outcome_of(event, is_overdue=is_overdue)
        if outcome.is_disk_full:
            # The first line only: the next ones advise resuming the job instead of the sweep.
            self._stop_for_disk((outcome.error or "").partition("\n")[0])
            # Not FAILED, so that `expt.resume` continues the job without --retry-failed.
            outcome = replace(outcome, status=JobStatus.KILLED)
        self._finish(job, outcome)

    def _finish(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Records a job's outcome in run, plan and MLflow; reports it to the sweeper and view."""
        self._num_failures += outcome.status is JobStatus.FAILED
        limit = self._limits.max_failures
        if limit is not None and self._num_failures >= limit:
            self._hold()
        if outcome.status is not JobStatus.FINISHED:
            self._close_run(job, outcome.status, outcome.error)
        # A resumed run may have a different hash: its code may have changed.
        job.run_hash = outcome.record.run_hash or job.run_hash
        self._set_status(job, outcome.status, outcome.error)
        # A killed job is trained again when the sweep is resumed, and reported then.
        if self._proposed is not None and outcome.status is not JobStatus.KILLED:
            self._proposed.tell(job, outcome)
        self._mirror.end(job)
        self._view.end(job, outcome.record)

    def _outcome_of(self, event: TaskEnded, *, is_overdue: bool) -> JobOutcome:
        """Returns the outcome of a job, even if its worker process has died."""
        if event.value is not None:
            outcome: JobOutcome = event.value
            return outcome
        if self._is_stopping:
            return JobOutcome(JobStatus.KILLED)
        reason = event.error
        if is_overdue:
            reason = f"it took longer than sweep.timeout={self._limits.timeout:g} seconds"
        return JobOutcome(JobStatus.FAILED, reason)

    def _close_run(self, job: PlannedJob, status: JobStatus, error: str | None) -> None:
        """Records a job's status in its run.json if its worker process could not do so."""
        record = job.record()
        if record is None or record.status is Status(status):
            return
        # Without config and params, which `update` does not need.
        run = Run(job.directory, self._plan.output_dir, {}, {}, record)
        try:
            run.update(status=Status(status), error=error, ended=time.time())
        except OSError as failure:
            self._stop_for_disk(_disk_message(failure, self._plan))

    def _set_status(self, job: PlannedJob, status: JobStatus, error: str | None = None) -> None:
        try:
            self._plan.set_status(job, status, error)
        except OSError as failure:
            self._stop_for_disk(_disk_message(failure, self._plan))

    def _update(self, **fields: Any) -> None:
        try:
            self._plan.update(**fields)
        except OSError as failure:
            self._stop_for_disk(_disk_message(failure, self._plan))

    def _hold(self) -> None:
        """Prevents further jobs from starting; running jobs continue to their end."""
        self._is_holding = True
        self._launcher.hold()

    def _stop(self) -> None:
        """Prevents further jobs from starting, and interrupts the running ones."""
        self._is_holding = self._is_stopping = True
        self._launcher.stop()

    def _stop_for_disk(self, disk_error: str | None) -> None:
        """Stops the sweep because a file can't be written; the first error is reported."""
        self._disk_error = self._disk_error or disk_error
        self._stop()


def _disk_message(failure: OSError, plan: SweepPlan) -> str:
    return f"{failure.filename or plan.directory}: {failure.strerror}."
