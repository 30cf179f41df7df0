"""MLflow's copies of a sweep and of its jobs, made by one process for all of them."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from expt.config.params import make_params
from expt.record.mlflow.copies import Copies, settled_sweep
from expt.record.mlflow.recorder import make_follower, prepare
from expt.record.process import FollowingProcess
from expt.runs.liveness import is_alive
from expt.runs.record_parts import plain_values
from expt.runs.records import SWEEP_FILE, RunRecord
from expt.runs.run import Run, Status, SweepAsRun
from expt.runs.secrets import redacted_values
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.results import results
from expt.train.recorders import is_mlflow

_log = logging.getLogger(__name__)
_TRIES = 2  # processes in which an ended run is mirrored, until it is complete
_SECONDS_BETWEEN_STARTS = 30.0  # while jobs are trained


class _FollowedRun(Run):
    """A run whose file another process keeps: what the copy adds waits in the record."""

    def update(self, **values: Any) -> None:
        self.record = self.record.updated(values)


@dataclass
class _Mirrored:
    """A job whose run is mirrored.

    Attributes:
        job: The job.
        run: Its run, as the process that mirrors it was given it.
        is_ending: Whether the run has ended.
        num_tries: In how many processes it was mirrored.
    """

    job: PlannedJob
    run: Run
    is_ending: bool = False
    num_tries: int = 1


class JobMirrors:
    """Mirrors the runs of a plan's jobs, as far as their recorders ask for it, and the sweep.

    MLflow takes seconds to import, and one writer alone keeps no other waiting for the database:
    one process mirrors all runs. If a request gets stuck there, or the process dies, another one
    takes over all runs that are not complete. What the mirrors add to a run's run.json is written
    there once the job's own process is done with it, and only then is the run `closed`.
    """

    def __init__(self, plan: SweepPlan) -> None:
        """Starts the process, if a job asks for it."""
        self._plan = plan
        self._failure: str | None = None
        self._runs: dict[str, _Mirrored] = {}  # those that are not complete
        self._process: FollowingProcess | None = None
        self._sweep = run_of_sweep(plan)
        if is_followed(plan):
            self._start()

    def look(self, job: PlannedJob) -> None:
        """Follows the run of a running job, once it has begun."""
        if job.directory.name in self._runs or not _is_followed(job):
            return
        record = job.record()
        if record is not None and record.status == Status.RUNNING:
            alive = is_alive(record)
            if alive is not False:  # else a previous process left it so
                self._follow(job, record, is_known_alive=alive is True)

    def end(self, job: PlannedJob) -> None:
        """Lets the mirror of a job that has ended, and has a run, be completed."""
        record = job.record()
        if record is None or record.closed:
            return
        if not _is_followed(job):
            self._close(job, {})
            return
        if job.directory.name not in self._runs:
            self._follow(job, record)
        mirrored = self._runs[job.directory.name]
        ended = record.to_mapping()  # beside what the mirror has added meanwhile
        mirrored.run.record = mirrored.run.record.updated(ended)
        mirrored.is_ending = True
        if self._process is not None:
            self._process.end(mirrored.run)

    def advance(self) -> None:
        """Closes the runs whose mirrors are complete; replaces a process that is stuck or dead."""
        self._note_place()
        process = self._process
        if process is None:
            return
        if process.is_stuck:
            process.kill()
        self._settle([m for m in self._runs.values() if m.is_ending and process.is_done(m.run)])
        is_early = time.monotonic() < self._started + _SECONDS_BETWEEN_STARTS
        if process.has_ended and self._runs and not is_early:
            self._start()

    def finish(self) -> str | None:
        """Waits for all mirrors, and completes the sweep's own.

        Returns:
            Why something is not recorded; None if all is.
        """
        while ending := [mirrored for mirrored in self._runs.values() if mirrored.is_ending]:
            self._settle(ending[:1])
            if self._process is not None and self._process.has_ended:
                self._start()
        if self._process is None:
            return None
        self._sweep.update(
            **{key: self._plan.facts[key] for key in ("status", "ended")},
            results=results(self._plan),
            number_of_jobs=len(self._plan.jobs),
        )
        self._process.end(self._sweep)
        failure = self._process.wait(self._sweep, inf)
        if self._process.has_ended:
            self._start()
            self._process.end(self._sweep)
            failure = self._process.wait(self._sweep, inf)
        self._failure = failure or self._failure
        self._note_place()
        self._process.stop()
        return self._failure

    def _note_place(self) -> None:
        """Writes into the plan where the sweep's own run is, once that is known."""
        place = None if self._process is None else plain_values(self._sweep.record.mlflow)
        if place is None or place == self._plan.facts.get("mlflow"):
            return
        try:
            self._plan.update(mlflow=place)
        except OSError as error:
            _log.warning("%s can't be written: %s", SWEEP_FILE, error)

    def _start(self) -> FollowingProcess:
        """Starts a process, which takes over the runs that are not complete.

        Of those that have ended, the first comes last: it may be the one whose request got stuck.
        """
        self._started = time.monotonic()
        self._process = process = FollowingProcess("mlflow", prepare, niceness=0)
        process.follow(self._sweep, make_follower)
        ending = [name for name, mirrored in self._runs.items() if mirrored.is_ending]
        if ending:
            self._runs[ending[0]] = self._runs.pop(ending[0])
        for mirrored in self._runs.values():
            mirrored.num_tries += mirrored.is_ending
            mirrored.run.is_resumed = True
            process.follow(mirrored.run, make_follower)
            if mirrored.is_ending:
                process.end(mirrored.run)
        return process

    def _follow(self, job: PlannedJob, record: RunRecord, *, is_known_alive: bool = True) -> None:
        is_resumed = bool(record.resumed) or record.status != Status.RUNNING
        run = _FollowedRun(
            job.directory,
            self._plan.output_dir,
            redacted_values(job.job.config.to_mapping()),
            redacted_values(make_params(job.job)),
            record,
            is_resumed=is_resumed or not is_known_alive,
        )
        process = self._process or self._start()  # a job that was added may be the first to ask
        self._runs[job.directory.name] = _Mirrored(job, run)
        process.follow(run, make_follower)

    def _settle(self, ending: Sequence[_Mirrored]) -> None:
        """Waits for the mirrors of runs that have ended, and closes the runs.

        What a process that died has not completed is left to the next one.
        """
        assert self._process is not None
        for mirrored in ending:
            name = mirrored.job.directory.name
            failure = self._process.wait(mirrored.run, inf)
            if failure and self._process.has_ended and mirrored.num_tries < _TRIES:
                continue
            del self._runs[name]
            if failure is None:
                self._close(mirrored.job, {"mlflow": mirrored.run.record.mlflow})
            self._failure = failure or self._failure

    def _close(self, job: PlannedJob, values: dict[str, Any]) -> None:
        run = Run(job.directory, self._plan.output_dir, {}, {}, job.record() or RunRecord())
        try:
            run.update(**values, closed=True)
        except OSError as error:
            _log.warning("%s: run.json can't be written: %s", job.name, error)


def is_followed(plan: SweepPlan) -> bool:
    """Whether a job's recorders ask for a copy in MLflow."""
    return any(map(_is_followed, plan.jobs))


def settle(plan: SweepPlan) -> None:
    """Notes in the records of a sweep and its runs that they were moved, or copied.

    Copies get runs of their own in MLflow, with all values, as soon as the sweep is followed.
    """
    copies = Copies()
    settled_sweep(copies, plan.directory, plan.output_dir)
    for job in plan.jobs:
        record = job.record()
        if record is None:
            continue
        changes = copies.settle(record, job.directory, plan.output_dir)
        if "id" in changes:
            changes["closed"] = False
        if changes:
            Run(job.directory, plan.output_dir, {}, {}, record).update(**changes)


def run_of_sweep(plan: SweepPlan) -> Run:
    """Returns a sweep as if it were a run, for its copy in MLflow."""
    return _FollowedRun(
        plan.directory,
        plan.output_dir,
        {"name": plan.experiment},
        {},
        SweepAsRun.of(
            {
                **plan.facts,
                "name": plan.name,
                "number_of_jobs": len(plan.jobs),
                "results": results(plan),
            }
        ),
    )


def _is_followed(job: PlannedJob) -> bool:
    return any(map(is_mlflow, job.job.config.recorder.values()))
