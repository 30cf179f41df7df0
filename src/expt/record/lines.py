"""Lines of a terminal: what fits into its width, and which of many are worth one."""

import math

from rich.console import Console

_ALL_SHOWN = 40  # evaluations that get a line each
_SHOWN_OF_MORE = 20  # lines of a run with more evaluations; as many new bests may come on top

Line = list[tuple[int, str]]
"""The parts of a line with their ranks; those of the highest rank are left out first."""


def fitted(line: Line, width: int | None) -> str:
    """Returns a line as text, without its least important parts if they don't fit.

    Args:
        line: Its parts.
        width: The columns that there are; None is any number.
    """
    left = line
    for rank in range(max(rank for rank, _ in line), -1, -1):
        text = "  ".join(text for _, text in left)
        if width is None or len(text.rstrip()) <= width or rank == 0:
            return text.rstrip()
        left = [part for part in left if part[0] < rank]
    raise AssertionError


def fitting_width(console: Console) -> int | None:
    """Returns the columns of a terminal; None for a file or a pipe, whose lines may be long."""
    return console.width if console.is_terminal else None


class ThinnedLines:
    """Which of a run's evaluations get a line: all of some dozens, a part of more.

    New bests among those left out are held back until the next line, since hundreds may follow
    each other; the last of them is printed.
    """

    def __init__(self, evaluations: int) -> None:
        is_long = evaluations > _ALL_SHOWN
        self._stride = math.ceil(evaluations / _SHOWN_OF_MORE) if is_long else 1
        self._count = 0
        self._best: Line | None = None
        self._last: Line | None = None

    def add(self, line: Line, is_best: bool) -> list[Line]:
        """Returns the lines to print after one more evaluation."""
        self._count += 1
        is_shown = self._count == 1 or self._count % self._stride == 0
        held, self._last = self._best, None if is_shown else line
        if not is_shown:
            self._best = line if is_best else held
            return []
        self._best = None
        return [line] if held is None or is_best else [held, line]

    def rest(self) -> list[Line]:
        """Returns the lines to print at the end: the best and the last, if they were left out."""
        lines = [line for line in (self._best, self._last) if line is not None]
        self._best = self._last = None
        return lines[:1] if lines[:1] == lines[1:] else lines
