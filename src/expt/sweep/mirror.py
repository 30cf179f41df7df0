"""MLflow's copies of a sweep and of its jobs, made by one process for all of them."""

import logging
from math import inf
from typing import Any

from expt.config.params import make_params
from expt.record.mlflow.copies import Copies, settled_sweep
from expt.record.mlflow.recorder import make_follower, prepare
from expt.record.process import FollowingProcess
from expt.runs.life import is_alive
from expt.runs.records import SWEEP_FILE, RunRecord
from expt.runs.run import Run, Status
from expt.runs.secrets import redacted_values
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.results import results
from expt.train.recorders import is_mlflow

_log = logging.getLogger(__name__)


class _FollowedRun(Run):
    """A run whose file another process keeps: what the copy adds waits in the record."""

    def update(self, **values: Any) -> None:
        self.record |= values


class SweepMirror:
    """Follows the jobs of a plan, as far as their recorders ask for it, and the sweep itself.

    MLflow takes seconds to import, and one writer alone keeps no other waiting for the database.
    What the copies add to a run's run.json is written there once the job's own process is done
    with it, and only then is the run `closed`.
    """

    def __init__(self, plan: SweepPlan) -> None:
        """Starts the process, if a job asks for it."""
        self._plan = plan
        self._failure: str | None = None
        self._process: FollowingProcess | None = None
        self._runs: dict[str, tuple[FollowingProcess, Run]] = {}
        self._ending: dict[str, PlannedJob] = {}
        if is_followed(plan):
            self._sweep = run_of_sweep(plan)
            self._start().follow(self._sweep, make_follower)

    def look(self, job: PlannedJob) -> None:
        """Follows the run of a job under way, once it has begun."""
        if job.directory.name in self._runs or not _is_followed(job):
            return
        record = job.record()
        if record is not None and record["status"] == Status.RUNNING and is_alive(record):
            self._follow(job, record)

    def end(self, job: PlannedJob) -> None:
        """Lets the copy of a job that has ended, and has a run, be completed."""
        record = job.record()
        if record is None or record.get("closed"):
            return
        if not _is_followed(job):
            self._close(job, {})
            return
        if job.directory.name not in self._runs:
            self._follow(job, record)
        process, run = self._runs[job.directory.name]
        run.record |= record  # beside what the copy has added meanwhile
        process.end(run)
        self._ending[job.directory.name] = job

    def advance(self) -> None:
        """Closes the runs whose copies are complete."""
        self._note_place()
        for name in list(self._ending):
            process, run = self._runs[name]
            if process.is_done(run):
                self._complete(name)

    def finish(self) -> str | None:
        """Waits for all copies, and completes the sweep's own.

        Returns:
            Why something is not recorded; None if all is.
        """
        for name in list(self._ending):
            self._complete(name)
        if self._process is None:
            return None
        self._sweep.record |= {key: self._plan.facts[key] for key in ("status", "ended")}
        self._sweep.record |= {"results": results(self._plan)}
        if self._process.has_ended:
            self._start().follow(self._sweep, make_follower)
        self._process.end(self._sweep)
        self._failure = self._process.wait(self._sweep, inf) or self._failure
        self._note_place()
        self._process.stop()
        return self._failure

    def _note_place(self) -> None:
        """Lets the plan tell where the sweep's own run is, once that is known."""
        place = None if self._process is None else self._sweep.record.get("mlflow")
        if place is None or place == self._plan.facts.get("mlflow"):
            return
        try:
            self._plan.update(mlflow=place)
        except OSError as error:
            _log.warning("%s can't be written: %s", SWEEP_FILE, error)

    def _start(self) -> FollowingProcess:
        self._process = FollowingProcess("mlflow", prepare, niceness=0)
        return self._process

    def _follow(self, job: PlannedJob, record: RunRecord) -> None:
        process = self._process
        if process is None or process.has_ended:
            process = self._start()
            process.follow(self._sweep, make_follower)
        run = _FollowedRun(
            job.directory,
            self._plan.output_dir,
            redacted_values(job.job.config.to_mapping()),
            redacted_values(make_params(job.job)),
            record,
            is_resumed="resumed" in record or record["status"] != Status.RUNNING,
        )
        self._runs[job.directory.name] = process, run
        process.follow(run, make_follower)

    def _complete(self, name: str) -> None:
        (process, run), job = self._runs.pop(name), self._ending.pop(name)
        failure = process.wait(run, inf)
        if failure is None:
            self._close(job, {"mlflow": run.record.get("mlflow")})
        else:
            self._failure = failure

    def _close(self, job: PlannedJob, values: dict[str, Any]) -> None:
        record = job.record()
        if record is None:
            return
        run = Run(job.directory, self._plan.output_dir, {}, {}, record)
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
        RunRecord.of(
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
