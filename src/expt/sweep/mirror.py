"""The MLflow mirrors of a sweep and its jobs, written by a single process."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from expt.config.params import make_params
from expt.record.mlflow.copies import Copies, update_sweep_place
from expt.record.mlflow.recorder import make_follower, prepare
from expt.record.process import FollowerProcess
from expt.runs.liveness import is_alive
from expt.runs.record_base import plain_values
from expt.runs.records import SWEEP_FILE, RunRecord
from expt.runs.run import Run, Status, SweepAsRun
from expt.runs.secrets import redacted_values
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.results import results
from expt.train.recorders import is_mlflow

_log = logging.getLogger(__name__)
_TRIES = 2  # number of processes that may try to complete the mirror of an ended run
_SECONDS_BETWEEN_STARTS = 30.0  # of mirroring processes, while jobs are being trained


class _FollowedRun(Run):
    """A run whose run.json is written by the job's own process.

    Updates change only the record in memory, since two writers would overwrite each other's values.
    `JobMirrors` writes them to the file when the job has ended.
    """

    def update(self, **values: Any) -> None:
        """Changes the record in memory."""
        self.record = self.record.updated(values)


@dataclass
class _Mirrored:
    """A job whose run is being mirrored.

    Attributes:
        job: The job.
        run: The job's run, as passed to the mirroring process.
        is_ending: Whether the run has ended.
        num_tries: Number of processes that have mirrored the run.
    """

    job: PlannedJob
    run: Run
    is_ending: bool = False
    num_tries: int = 1


class JobMirrors:
    """Mirrors a sweep to MLflow, and those of its runs whose configs have an MLflow recorder.

    A single process mirrors all runs: MLflow takes more than a second to import, and several
    writers would wait for each other's locks on the database. If that process dies, or a request
    gets stuck in it, a new process takes over all runs that are not complete. The MLflow ids of a
    run are written to its run.json when the job's own process no longer writes there. Only then
    is the run marked as `closed`.
    """

    def __init__(self, plan: SweepPlan) -> None:
        """Starts the mirroring process if a job of the plan has an MLflow recorder."""
        self._plan = plan
        self._failure: str | None = None
        self._runs: dict[str, _Mirrored] = {}  # incomplete ones, by directory name
        self._process: FollowerProcess | None = None
        self._sweep = run_of_sweep(plan)
        if is_followed(plan):
            self._start()

    def follow(self, job: PlannedJob) -> None:
        """Starts to mirror the run of a running job, as soon as the run has a record."""
        if job.directory.name in self._runs or not _is_followed(job):
            return
        record = job.record()
        if record is not None and record.status == Status.RUNNING:
            alive = is_alive(record)
            if alive is not False:  # else the record is a killed process's, not this job's yet
                self._follow(job, record, is_known_alive=alive is True)

    def end(self, job: PlannedJob) -> None:
        """Requests that the mirror of an ended job be completed, if the job has a run."""
        record = job.record()
        if record is None or record.closed:
            return
        if not _is_followed(job):
            self._close(job, {})
            return
        if job.directory.name not in self._runs:
            self._follow(job, record)
        mirrored = self._runs[job.directory.name]
        ended = record.to_mapping()  # merged: the mirror has added its ids in memory meanwhile
        mirrored.run.record = mirrored.run.record.updated(ended)
        mirrored.is_ending = True
        if self._process is not None:
            self._process.end(mirrored.run)

    def advance(self) -> None:
        """Closes runs whose mirrors are complete, and replaces a stuck or dead process."""
        self._save_mlflow_ids()
        process = self._process
        if process is None:
            return
        if process.is_stuck:
            process.kill()
        self._close_completed(
            [m for m in self._runs.values() if m.is_ending and process.is_done(m.run)]
        )
        is_early = time.monotonic() < self._started + _SECONDS_BETWEEN_STARTS
        if process.has_ended and self._runs and not is_early:
            self._start()

    def finish(self) -> str | None:
        """Waits for the mirrors of all ended runs, and completes the mirror of the sweep itself.

        Returns:
            Why a mirror is incomplete; None if all are complete.
        """
        while ending := [mirrored for mirrored in self._runs.values() if mirrored.is_ending]:
            self._close_completed(ending[:1])
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
        if self._process.has_ended:  # one more try, as for the runs
            self._start()
            self._process.end(self._sweep)
            failure = self._process.wait(self._sweep, inf)
        self._failure = failure or self._failure
        self._save_mlflow_ids()
        self._process.stop()
        return self._failure

    def _save_mlflow_ids(self) -> None:
        """Writes the MLflow ids of the sweep's own run into the plan, once they are known."""
        place = None if self._process is None else plain_values(self._sweep.record.mlflow)
        if place is None or place == self._plan.facts.get("mlflow"):
            return
        try:
            self._plan.update(mlflow=place)
        except OSError as error:
            _log.warning("%s can't be written: %s", SWEEP_FILE, error)

    def _start(self) -> FollowerProcess:
        """Starts a mirroring process, which takes over all incomplete runs.

        The first one of the ended runs is moved to the end: it may be the run whose request got
        stuck, and would hold up all others again.
        """
        self._started = time.monotonic()
        self._process = process = FollowerProcess("mlflow", prepare, niceness=0)
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
        """Passes a run to the mirroring process, starting that process if necessary."""
        is_resumed = bool(record.resumed) or record.status != Status.RUNNING
        run = _FollowedRun(
            job.directory,
            self._plan.output_dir,
            redacted_values(job.job.config.to_mapping()),
            redacted_values(make_params(job.job)),
            record,
            is_resumed=is_resumed or not is_known_alive,
        )
        process = self._process or self._start()  # a later job may be the first with a recorder
        self._runs[job.directory.name] = _Mirrored(job, run)
        process.follow(run, make_follower)

    def _close_completed(self, ending: Sequence[_Mirrored]) -> None:
        """Waits for the mirrors of ended runs, and closes those runs.

        Runs that a dead process has left incomplete are kept for the next process.
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
        """Marks a run as closed in its run.json, together with other values."""
        run = Run(job.directory, self._plan.output_dir, {}, {}, job.record() or RunRecord())
        try:
            run.update(**values, closed=True)
        except OSError as error:
            _log.warning("%s: run.json can't be written: %s", job.name, error)


def is_followed(plan: SweepPlan) -> bool:
    """Whether a job of a plan has an MLflow recorder."""
    return any(map(_is_followed, plan.jobs))


def update_places(plan: SweepPlan) -> None:
    """Updates the records of a sweep and its runs if they have been moved or copied.

    A copied sweep gets new ids, so that it is mirrored to separate MLflow runs with all values.
    """
    copies = Copies()
    update_sweep_place(copies, plan.directory, plan.output_dir)
    for job in plan.jobs:
        record = job.record()
        if record is None:
            continue
        changes = copies.settle(record, job.directory, plan.output_dir)
        if "id" in changes:
            changes["closed"] = False  # the copy has no MLflow run yet
        if changes:
            Run(job.directory, plan.output_dir, {}, {}, record).update(**changes)


def run_of_sweep(plan: SweepPlan) -> Run:
    """Returns a sweep in the form of a run, as the MLflow mirror needs it."""
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
