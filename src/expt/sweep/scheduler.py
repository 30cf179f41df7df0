"""The scheduler of a sweep: which job runs when, its status, and the sweep's limits."""

import logging
import time
from collections import deque
from dataclasses import replace
from typing import Any

from rich.console import Console

from expt.errors import RunError, Terminated
from expt.record.log_files import log_to
from expt.record.mlflow.recorder import restoring
from expt.record.mlflow.store import DELETED
from expt.record.phases import Phases, command_phases, lap_seconds
from expt.runs.environment import process
from expt.runs.record_parts import JobStatus
from expt.runs.run import Run, Status
from expt.sweep.growth import Growth
from expt.sweep.jobs import ENDED_WELL, JobOutcome, PlannedJob
from expt.sweep.launchers import Began, Ended, Event, Launcher, Task, worker
from expt.sweep.limits import Deadlines, Limits
from expt.sweep.mirror import JobMirrors
from expt.sweep.plan import SweepPlan
from expt.sweep.preflight import LONGEST_CHECK, check_task, result_of_check
from expt.sweep.summary import exit_code, print_outcome, show_comparison
from expt.sweep.view import SweepView
from expt.train.signals import Interruption, deferred_signals

_log = logging.getLogger(__name__)
_TICK = 0.2  # seconds
_LOG_FILE = "sweep.log"


def run_jobs(
    plan: SweepPlan,
    launcher: Launcher,
    console: Console,
    *,
    growth: Growth | None = None,
    seconds: float | None = None,
    retry_failed: bool = False,
) -> int:
    """Trains the jobs of a plan that have not ended yet.

    Args:
        plan: Is kept up to date.
        launcher: An idle one; it is closed at the end.
        console: Where a line for each job is printed, and a table at the end.
        growth: Plans more jobs; None if all are planned.
        seconds: About how long a job takes, if that is known.
        retry_failed: Whether failed jobs are tried again, too.

    Returns:
        The exit code: 0 if all jobs have ended well, else 1.

    Raises:
        RunError: The sweep can't continue: a disk is full, or its sweeper asks for a job that
            can't be trained.
        KeyboardInterrupt: Ctrl-C; all runs are closed.
        Terminated: SIGTERM; likewise.
    """
    log_to(plan.directory / _LOG_FILE)
    command_phases().start_log()
    with deferred_signals() as interruption:
        view = SweepView(plan, console, launcher.num_slots, seconds)
        scheduler = Scheduler(plan, launcher, view, growth)
        try:
            scheduler.run(interruption, retry_failed)
        finally:
            scheduler.close(console)
    return exit_code(plan)


class Scheduler:
    """Handles all events of a sweep, on one thread."""

    def __init__(
        self, plan: SweepPlan, launcher: Launcher, view: SweepView, growth: Growth | None
    ) -> None:
        self._plan, self._launcher, self._view = plan, launcher, view
        self._growth = growth
        self._limits = Limits.of(plan.jobs[0].job.config)
        self._mirror = JobMirrors(plan)
        self._status = Status.FAILED
        self._disk_error: str | None = None
        self._waiting: deque[PlannedJob] = deque()
        self._jobs: dict[int, PlannedJob] = {}  # by the numbers of their tasks
        self._checks: dict[int, list[PlannedJob]] = {}  # the jobs of a kind, likewise
        self._deadlines = Deadlines()
        self._is_holding = self._is_stopping = False
        self._num_failures = 0  # those of a previous process don't count

    def run(self, interruption: Interruption, retry_failed: bool) -> None:
        """Trains; returns once all jobs that began have ended."""
        plan = self._plan
        self._update(status=Status.RUNNING, ended=None, process=process(), is_complete=False)
        self._begin(retry_failed)
        self._view.start()
        try:
            self._fill_slots()
            while (self._jobs or self._checks) and not self._is_holding:
                interruption.check()
                self._handle(self._launcher.next_event(_TICK))
                self._fill_slots()
        except (KeyboardInterrupt, Terminated):
            self._status = Status.KILLED
            self._stop()
            raise
        finally:
            while not self._launcher.is_idle:
                self._handle(self._launcher.next_event(_TICK))
        if self._disk_error is not None:
            raise RunError(
                f"{self._disk_error} No more jobs were begun. Free some space, then continue "
                f"with: python -m expt.resume {plan.quoted}"
            )
        is_whole = self._growth is None or self._growth.is_done
        if is_whole and plan.count(*ENDED_WELL) == len(plan.jobs):
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
            way = f"To complete it: python -m expt.resume {plan.quoted}"
            if DELETED in failure:
                way = restoring(plan.directory)
            _log.warning("mlflow: incomplete: %s. %s", failure, way)

    def _begin(self, retry_failed: bool) -> None:
        """Finds the jobs to do; the runs of the others may not be complete in MLflow yet."""
        for job in self._plan.to_do(retry_failed=retry_failed):
            record = job.record()
            if record is not None and record.status == Status.FINISHED:
                self._note(job, JobStatus.FINISHED)  # the sweep was killed before it saw that
        jobs = self._plan.to_do(retry_failed=retry_failed)
        places = {job.directory for job in jobs}
        ended = [job for job in self._plan.jobs if job.directory not in places]
        for job in ended:
            self._mirror.end(job)
        self._waiting.extend(jobs)
        if self._growth is not None:
            self._growth.begin(self._plan, ended)

    def _fill_slots(self) -> None:
        """Submits a job for each free slot, and no more: too many may have failed by then."""
        while len(self._jobs) + len(self._checks) < self._launcher.num_slots:
            if self._is_holding or not (self._waiting or self._grow()):
                return
            if self._waiting:
                self._submit(self._waiting.popleft())

    def _submit(self, job: PlannedJob) -> None:
        member = self._plan.membership(job)
        arguments = (job.job, job.directory, job.record(), member, job.code)
        task = Task(worker.train, arguments, threads=job.job.config.loop.threads)
        self._jobs[task.number] = job
        self._launcher.submit(task)

    def _grow(self) -> bool:
        """Plans the sweeper's next jobs and checks each kind; returns whether there are any."""
        if self._growth is None or self._growth.is_done:
            return False
        try:
            is_idle = not (self._jobs or self._checks)
            jobs = self._growth.ask(self._plan, is_idle=is_idle)
        except OSError as failure:
            self._stop_for(_full(failure, self._plan))
            return False
        except BaseException:
            self._hold()
            raise
        for kind in self._growth.kinds(jobs):
            task = check_task(kind[0], is_measured=False)
            self._checks[task.number] = kind
            self._launcher.submit(task)
        for job in jobs:
            if job.status is JobStatus.REUSED:
                self._growth.report(job)
        return bool(jobs)

    def _handle(self, event: Event | None) -> None:
        if isinstance(event, Began) and event.number in self._jobs:
            job = self._jobs[event.number]
            self._deadlines.begin(event.number, self._limits.timeout)
            self._note(job, JobStatus.RUNNING)
            self._view.begin(job)
        elif isinstance(event, Began):
            self._deadlines.begin(event.number, LONGEST_CHECK)
        elif isinstance(event, Ended) and event.number in self._jobs:
            self._end(self._jobs.pop(event.number), event)
        elif isinstance(event, Ended):
            self._end_check(self._checks.pop(event.number), event)
        for number in self._deadlines.overdue():
            self._launcher.cancel(number)
        for job in self._jobs.values():
            if job.status is JobStatus.RUNNING:
                self._mirror.look(job)
        self._mirror.advance()
        self._view.refresh()

    def _end_check(self, kind: list[PlannedJob], event: Ended) -> None:
        """Lets the jobs of a kind wait for slots, or fail if one batch can't be trained."""
        is_overdue = self._deadlines.end(event.number)
        result = result_of_check(event, is_overdue=is_overdue)
        if self._is_holding:  # they are pending, and trained when the sweep is resumed
            return
        if result.error is None:
            self._waiting.extend(kind)
            return
        for job in kind:
            self._finish(job, JobOutcome(JobStatus.FAILED, result.error))

    def _end(self, job: PlannedJob, event: Ended) -> None:
        is_overdue = self._deadlines.end(event.number)
        if job.status is not JobStatus.RUNNING and event.death is None:  # held before it began
            return
        outcome = self._outcome_of(event, is_overdue=is_overdue)
        if outcome.is_disk_full:
            self._stop_for(outcome.error)
            outcome = replace(outcome, status=JobStatus.KILLED)  # it continues with the sweep
        self._finish(job, outcome)

    def _finish(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Records the outcome of a job, wherever it is shown or waited for."""
        self._num_failures += outcome.status is JobStatus.FAILED
        limit = self._limits.max_failures
        if limit is not None and self._num_failures >= limit:
            self._hold()
        if outcome.status is not JobStatus.FINISHED:
            self._correct(job, outcome.status, outcome.error)
        job.run_hash = outcome.record.run_hash or job.run_hash  # a resumed run's may differ
        self._note(job, outcome.status, outcome.error)
        if self._growth is not None and outcome.status is not JobStatus.KILLED:
            self._growth.tell(job, outcome)
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
        if record is None or record.status is Status(status):
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
            self._stop_for(_full(failure, self._plan))

    def _update(self, **facts: Any) -> None:
        try:
            self._plan.update(**facts)
        except OSError as failure:
            self._stop_for(_full(failure, self._plan))

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


def _full(failure: OSError, plan: SweepPlan) -> str:
    return f"{failure.filename or plan.directory}: {failure.strerror}."
