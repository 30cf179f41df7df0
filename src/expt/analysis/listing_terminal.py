"""Terminal output of the list of runs and sweeps.

The table is formatted without rich, whose import would delay a command that people type often.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence

from expt.analysis.listing import ListRow
from expt.analysis.values import plain
from expt.record.values import format_seconds, format_value

_GAP = "  "
_SHORTEST_NAME = 20
_HEADINGS = (
    *("name", "experiment", "status", "jobs", "best", "metric", "started", "training"),
    "directory",
)
_LESS_IMPORTANT = (
    "directory",
    "training",
    "experiment",
    "metric",
    "jobs",
)  # left out in this order
_RIGHT = ("best", "started", "training")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def print_rows(rows: Sequence[ListRow], most: int) -> None:
    """Prints the first rows, cut to the width of the terminal, and the number of further rows.

    Args:
        rows: The rows, newest first.
        most: The number of rows to print.
    """
    # A pipe gets everything: a script needs whole names and directories.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in list_lines(rows[:most], width):
        print(line)
    if len(rows) > most:
        print(f"{len(rows) - most} older ones are not shown; to list all, add -n 0")


def list_lines(
    rows: Sequence[ListRow], width: int | None, now: float | None = None
) -> Iterator[str]:
    """Yields the lines of the table, headings first.

    Args:
        rows: The runs and sweeps, with jobs after their sweep.
        width: The width of the terminal in characters. Where it is too small, less important
            columns are left out and names are shortened. None shows everything.
        now: The time to which ages refer, in seconds since 1970; default the current time.
    """
    now = time.time() if now is None else now
    table = [dict(zip(_HEADINGS, _cells(row, now), strict=True)) for row in rows]
    shown = [
        heading
        for heading in _HEADINGS
        if heading in ("name", "experiment", "status") or any(cells[heading] for cells in table)
    ]
    # Names are unique within an experiment, so that the column adds nothing if there is only one.
    if len({row.experiment for row in rows}) == 1:
        shown.remove("experiment")
    widths = {head: max(len(head), *(len(cells[head]) for cells in table)) for head in shown}
    if width is not None and _total(widths) > width:
        for heading in _LESS_IMPORTANT:
            if _total(widths) - widths["name"] + _SHORTEST_NAME > width or heading == "directory":
                widths.pop(heading, None)
        others = _total(widths) - widths["name"]
        widths["name"] = min(widths["name"], max(width - others, _SHORTEST_NAME))
    for cells in [{heading: heading for heading in shown}, *table]:
        yield _GAP.join(_cell(cells[head], widths[head], head) for head in widths).rstrip()


def age_text(seconds: float) -> str:
    """Returns an age as text, such as `5 min ago`.

    Args:
        seconds: The age in seconds.
    """
    # A unit is used from twice its size on: "1 h ago" would be too coarse for 80 minutes.
    for unit, size in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _cells(row: ListRow, now: float) -> Sequence[str]:
    return (
        plain(row.name),
        plain(row.experiment),
        row.status,
        _jobs_text(row),
        "" if row.value is None else format_value(row.value),
        "" if row.value is None else plain(row.metric or ""),
        "" if row.started is None else age_text(now - row.started),
        "" if row.seconds is None else format_seconds(row.seconds),
        plain(os.path.relpath(row.directory)),
    )


def _jobs_text(row: ListRow) -> str:
    if row.jobs is None:
        return ""
    done, count = row.num_done, len(row.jobs)
    text = f"{done}" if done == count else f"{done}/{count}"
    return f"{text}, {row.num_failed} failed" if row.num_failed else text


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _cell(text: str, width: int, heading: str) -> str:
    if len(text) > width:
        text = f"{text[: width - 1]}…"
    return text.rjust(width) if heading in _RIGHT else text.ljust(width)
