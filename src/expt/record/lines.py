"""Lines of a terminal: shortening to its width, and a choice among many evaluations."""

import math

from rich.console import Console

_ALL_SHOWN = 40  # up to so many evaluations of a run, each has a line
_SHOWN_OF_MORE = 20  # regular lines of a longer run; each may have a line of a best one before it

Line = list[tuple[int, str]]
"""The parts of a line, each with its rank; parts of the highest rank are dropped first."""


def fit_to_width(line: Line, width: int | None) -> str:
    """Returns a line as text, without its least important parts if they do not fit.

    Args:
        line: The parts of the line.
        width: The available columns; None for no limit. Parts of rank 0 are never dropped.
    """
    left = line
    for rank in range(max(rank for rank, _ in line), -1, -1):
        text = "  ".join(text for _, text in left)
        if width is None or len(text.rstrip()) <= width or rank == 0:
            return text.rstrip()
        left = [part for part in left if part[0] < rank]
    raise AssertionError


def terminal_width(console: Console) -> int | None:
    """Returns the width of a terminal in columns; None for a file or a pipe, without a limit."""
    return console.width if console.is_terminal else None


class ThinnedLines:
    """A choice of the evaluations that get a line: all of a short run, every nth of a long one.

    Early in training, hundreds of evaluations in a row may each be a new best. So only the latest
    best one is kept, and printed before the next regular line.
    """

    def __init__(self, evaluations: int) -> None:
        is_long = evaluations > _ALL_SHOWN
        self._stride = math.ceil(evaluations / _SHOWN_OF_MORE) if is_long else 1
        self._count = 0
        self._best: Line | None = None
        self._last: Line | None = None

    def add(self, line: Line, is_best: bool) -> list[Line]:
        """Returns the lines to print after an evaluation: none, its own, or the held best too."""
        self._count += 1
        is_shown = self._count == 1 or self._count % self._stride == 0
        held, self._last = self._best, None if is_shown else line
        if not is_shown:
            self._best = line if is_best else held
            return []
        self._best = None
        return [line] if held is None or is_best else [held, line]

    def rest(self) -> list[Line]:
        """Returns the lines to print at the end: the best and the last, if not yet printed."""
        lines = [line for line in (self._best, self._last) if line is not None]
        self._best = self._last = None
        # The best one may also be the last one.
        return lines[:1] if lines[:1] == lines[1:] else lines
