"""Sweepers: which jobs a sweep has. The protocol."""

from collections.abc import Sequence
from typing import Protocol

from expt.sweep.jobs import JobOutcome, PlannedJob


class Sweeper(Protocol):
    """Chooses the jobs of a sweep, all at once or depending on the outcomes of earlier ones."""

    def ask(self) -> Sequence[Sequence[str]] | None:
        """Returns the overrides of the next jobs; it is called while a slot is free.

        An empty sequence means that the next jobs depend on outcomes to come; None, that there are
        no more jobs.
        """

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Takes the outcome of a job that has ended; its values are in the outcome's record."""

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        """Takes all jobs that an interrupted sweep has planned, before anything is asked.

        `tell` takes the outcomes of those that have ended next, the others' once they end.
        """
