"""The console output of `expt.sync`: a line per change or problem, and a summary."""

import os
from collections import Counter
from pathlib import Path

from rich.console import Console

_OUTCOMES = {
    "complete": "already complete",
    "completed": "completed",
    "closed": "closed",
    "running": "still running",
    "without": "recorded without MLflow",
    "deleted": "deleted in MLflow",
    "failed": "with errors",
}


class SyncReport:
    """Prints the outcomes of runs, and counts them.

    Args:
        console: Shows the lines.

    Attributes:
        counts: Number of runs by outcome, a key of `_OUTCOMES`.
    """

    def __init__(self, console: Console) -> None:
        self.counts: Counter[str] = Counter()
        self._console = console
        self._done: set[Path] = set()

    def has_outcome(self, directory: Path) -> bool:
        """Returns whether the outcome of a run has been added."""
        return directory in self._done

    def add(self, directory: Path, outcome: str, text: str | None) -> None:
        """Counts the outcome of a run, and prints its line if there is one."""
        self._done.add(directory)
        self.counts[outcome] += 1
        if text is not None:
            self.print(directory, text)

    def print(self, directory: Path, text: str) -> None:
        """Prints a line about a run or a sweep."""
        line = f"{os.path.relpath(directory)}: {text}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def summarize(self) -> None:
        """Prints the number of runs of each outcome."""
        shown = ", ".join(
            f"{self.counts[key]} {text}" for key, text in _OUTCOMES.items() if self.counts[key]
        )
        runs = "1 run" if len(self._done) == 1 else f"{len(self._done)} runs"
        self._console.print(f"{runs}: {shown}", highlight=False, soft_wrap=True)
