"""The grid: all combinations of the values, but for those of the keys in `sweep.zip`."""

from collections.abc import Sequence
from typing import Protocol

from expt.sweep.jobs import JobOutcome, PlannedJob


class Combinations(Protocol):
    """The part of a composition that the grid needs."""

    def combinations(self) -> list[list[str]]:
        """Returns the overrides of all jobs."""


class GridSweeper:
    """Asks once, for all jobs."""

    def __init__(self, *, composition: Combinations) -> None:
        """Makes a sweeper of the values that the command line and the config give."""
        self._composition = composition
        self._has_asked = False

    def ask(self) -> Sequence[Sequence[str]] | None:
        """Returns the overrides of all jobs, then None."""
        if self._has_asked:
            return None
        self._has_asked = True
        return self._composition.combinations()

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Does nothing: no job depends on another one."""

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        """Asks for no more: all jobs are planned."""
        self._has_asked = self._has_asked or bool(jobs)
