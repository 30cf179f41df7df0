"""Adds the jobs that a sweeper proposes to the plan of a running sweep."""

from collections.abc import Sequence

from expt.config.hashes import run_hash, variant_hash
from expt.config.job import ComposedJob
from expt.config.sources import code_of
from expt.errors import RunError, UserError
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep.finished_runs import reuse_finished
from expt.sweep.jobs import JobOutcome, PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.search import DONE_KEY, KEY, Search


class ProposedJobs:
    """Adds a sweeper's proposals to the plan of a running sweep, and reports outcomes to it.

    Attributes:
        is_done: Whether the sweeper has no more jobs.
    """

    def __init__(self, search: Search, *, is_resumed: bool = False) -> None:
        """Initializes without calling the sweeper.

        Args:
            search: The search of the sweep. If the sweep is new, its sweeper has already been
                asked for the first jobs.
            is_resumed: Whether the sweep is resumed with a new sweeper, which does not yet know
                the jobs of the plan.
        """
        self._sweeper, self._compose, self._load = search.sweeper, search.compose, search.load
        self._is_resumed = is_resumed
        self.is_done = False

    def begin(self, plan: SweepPlan, ended: Sequence[PlannedJob]) -> None:
        """Restores the sweeper of a resumed sweep, and reports the jobs that have already ended."""
        if self._is_resumed:
            self._sweeper.restore(plan.jobs)
        for job in ended:
            self.report(job)

    def report(self, job: PlannedJob) -> None:
        """Reports an ended job to the sweeper, with the record of its run or of the reused run."""
        self.tell(job, JobOutcome(job.status, job.error, job.result() or RunRecord()))

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Reports the outcome of a job to the sweeper."""
        self._sweeper.tell(job, outcome)

    def ask(self, plan: SweepPlan, *, is_idle: bool) -> list[PlannedJob]:
        """Asks the sweeper for its next jobs, and adds them to the plan and its file.

        Args:
            plan: Plan of the sweep.
            is_idle: Whether no job is running or waiting. A sweeper that returns no jobs is then
                done, since it could only wait for outcomes that never come.

        Returns:
            The new jobs; none if they depend on outcomes to come, or if the sweeper is done.

        Raises:
            RunError: The sweeper has proposed a job that can't be composed or whose data can't be
                loaded.
            OSError: The plan can't be written.
        """
        asked = self._sweeper.ask()
        if asked is None or (is_idle and not asked):
            self.is_done = True
            # So that a resumed sweep does not create the sweeper again.
            plan.update(**{KEY: {**plan.facts[KEY], DONE_KEY: True}})
        if not asked:
            return []
        try:
            return self._append(plan, list(self._compose(asked, len(plan.jobs))))
        except UserError as error:
            raise RunError(
                f"The sweeper has proposed a job that can't be trained: {error}"
            ) from error

    def kinds(self, jobs: Sequence[PlannedJob]) -> list[list[PlannedJob]]:
        """Groups the pending jobs by kind, so that each kind is checked once; see `check_kinds`."""
        kinds: dict[str, list[PlannedJob]] = {}
        for job in jobs:
            if job.status is JobStatus.PENDING:
                kinds.setdefault(self._kind(job), []).append(job)
        return list(kinds.values())

    def _append(self, plan: SweepPlan, composed: Sequence[ComposedJob]) -> list[PlannedJob]:
        """Plans composed jobs, marks those that can be reused, and freezes them."""
        known = [
            (one.job.config, self._load(one.job).fingerprint, code_of(one.job.config).hash)
            for one in composed
        ]
        jobs = plan.append(composed, [run_hash(*each) for each in known])
        # Before freezing: a reused job takes over the name of the finished run.
        if plan.jobs[0].job.config.sweep.reuse:
            reuse_finished(jobs, [data for _, data, _ in known], plan.output_dir)
        plan.freeze(composed)
        return jobs

    def _kind(self, job: PlannedJob) -> str:
        data = self._load(job.job).fingerprint
        return variant_hash(job.job.config, data, code_of(job.job.config).hash)
