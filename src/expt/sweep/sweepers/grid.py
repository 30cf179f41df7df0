"""The grid sweeper: all combinations of values, with the keys in `sweep.zip` varied together."""

from collections.abc import Sequence
from typing import Protocol

from expt.sweep.jobs import JobOutcome, PlannedJob


class Combinations(Protocol):
    """The part of `Composition` that the grid sweeper needs."""

    def combinations(self) -> list[list[str]]:
        """Returns the overrides of each job of the grid."""


class GridSweeper:
    """A sweeper that proposes all jobs of a grid at the first call of `ask`."""

    def __init__(self, *, composition: Combinations) -> None:
        """Initializes the sweeper.

        Args:
            composition: Lists the combinations of the values on the command line and in the config.
        """
        self._composition = composition
        self._has_proposed = False

    def ask(self) -> Sequence[Sequence[str]] | None:
        """Returns the overrides of all jobs at the first call, then None."""
        if self._has_proposed:
            return None
        self._has_proposed = True
        return self._composition.combinations()

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Does nothing: the jobs of a grid do not depend on outcomes."""

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        """Ends the proposals if jobs are planned already: a grid is always planned as a whole."""
        self._has_proposed = self._has_proposed or bool(jobs)
