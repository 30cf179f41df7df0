"""Adds jobs to the plan of a sweep that is running, as its sweeper asks for them."""

from collections.abc import Sequence

from expt.config.compose import Composed
from expt.config.hashes import run_hash, variant_hash
from expt.config.sources import code_of
from expt.errors import RunError, UserError
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep.finished_runs import reuse_finished
from expt.sweep.jobs import JobOutcome, PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.search import DONE_KEY, KEY, Search


class Growth:
    """Plans what a sweeper asks for while its sweep runs, and reports the outcomes to it."""

    def __init__(self, search: Search, *, is_resumed: bool = False) -> None:
        """Makes it.

        Args:
            search: Its sweeper has been asked for the first jobs, or else the sweep is resumed.
            is_resumed: Whether the sweeper does not know the jobs of the plan.
        """
        self._sweeper, self._compose, self._load = search.sweeper, search.compose, search.load
        self._is_resumed = is_resumed
        self.is_done = False

    def begin(self, plan: SweepPlan, ended: Sequence[PlannedJob]) -> None:
        """Brings the sweeper up to date with a plan, and reports the jobs that have ended."""
        if self._is_resumed:
            self._sweeper.restore(plan.jobs)
        for job in ended:
            self.report(job)

    def report(self, job: PlannedJob) -> None:
        """Reports a job that has ended, with the record of its run or of the reused one."""
        self.tell(job, JobOutcome(job.status, job.error, job.result() or RunRecord()))

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Reports the outcome of a job to the sweeper."""
        self._sweeper.tell(job, outcome)

    def ask(self, plan: SweepPlan, *, is_idle: bool) -> list[PlannedJob]:
        """Appends the next jobs to a plan, in its file too, and returns them.

        There are none if they depend on outcomes to come, or if the sweeper is done.

        Args:
            plan: The sweep's.
            is_idle: Whether there are no outcomes to come: then a sweeper that asks for nothing
                is done.

        Raises:
            RunError: The sweeper asks for a job that can't be composed, or has no data.
        """
        asked = self._sweeper.ask()
        if asked is None or (is_idle and not asked):
            self.is_done = True
            plan.update(**{KEY: {**plan.facts[KEY], DONE_KEY: True}})
        if not asked:
            return []
        try:
            return self._append(plan, list(self._compose(asked, len(plan.jobs))))
        except UserError as error:
            raise RunError(f"The sweeper asked for a job that can't be trained. {error}") from error

    def kinds(self, jobs: Sequence[PlannedJob]) -> list[list[PlannedJob]]:
        """Returns the pending ones of some jobs, those of a kind together: see `check_kinds`."""
        kinds: dict[str, list[PlannedJob]] = {}
        for job in jobs:
            if job.status is JobStatus.PENDING:
                kinds.setdefault(self._kind(job), []).append(job)
        return list(kinds.values())

    def _append(self, plan: SweepPlan, composed: Sequence[Composed]) -> list[PlannedJob]:
        known = [
            (one.job.config, self._load(one.job).fingerprint, code_of(one.job.config).hash)
            for one in composed
        ]
        jobs = plan.append(composed, [run_hash(*each) for each in known])
        if plan.jobs[0].job.config.sweep.reuse:
            reuse_finished(jobs, [data for _, data, _ in known], plan.output_dir)
        plan.freeze(composed)
        return jobs

    def _kind(self, job: PlannedJob) -> str:
        data = self._load(job.job).fingerprint
        return variant_hash(job.job.config, data, code_of(job.job.config).hash)
