"""The grid sweeper: all combinations of values, with the keys in `sweep.zip` varied together."""

from collections.abc import Sequence
from typing import Protocol

from expt.sweep.jobs import JobOutcome, PlannedJob


class Combinations(Protocol):
    """The part of `Composition` that the grid sweeper needs."""

    def combinations(self) -> list[list[str]]:
        """Returns the overrides of each job of the grid."""


class GridSweeper:
    """Returns all jobs of a grid from the first call of `ask`."""

    def __init__(self, *, composition: Combinations) -> None:
        """Initializes the sweeper.

        Args:
            composition: Lists the combinations of the values on the command line and in the config.
        """
        self._composition = composition
        self._has_asked = False

    def ask(self) -> Sequence[Sequence[str]] | None:
        """Returns the overrides of all jobs at the first call, then None."""
        if self._has_asked:
            return None
        self._has_asked = True
        return self._composition.combinations()

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Does nothing: the jobs of a grid do not depend on outcomes."""

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        """Marks the grid as complete: the interrupted sweep has planned all of its jobs."""
        self._has_asked = self._has_asked or bool(jobs)
