"""Sweepers choose the jobs of a sweep. This module contains the protocol that they implement."""

from collections.abc import Sequence
from typing import Protocol

from expt.sweep.jobs import JobOutcome, PlannedJob


class Sweeper(Protocol):
    """Chooses the jobs of a sweep, all at once or depending on the outcomes of finished jobs.

    The scheduler calls `ask` and `tell` from one thread, as in Optuna's ask-and-tell interface.
    """

    def ask(self) -> Sequence[Sequence[str]] | None:
        """Returns the overrides of the next jobs; called whenever a worker is free.

        Returns:
            One list of overrides per job, such as `[["act=relu", "seed=0"]]`. An empty sequence
            if the next jobs depend on outcomes that are still missing. None if there are no more
            jobs.
        """

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Receives the outcome of a job that has ended.

        Args:
            job: The job.
            outcome: Its status and, in `outcome.record`, its metrics.
        """

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        """Receives all jobs that an interrupted sweep has planned; called before the first `ask`.

        Afterwards `tell` is called for the jobs that have already ended, and later for the others
        when they end.
        """
