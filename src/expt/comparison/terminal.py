"""The comparison on a terminal."""

import os
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from expt.comparison.cells import Column, columns
from expt.comparison.reading import ComparedRun
from expt.comparison.table import Comparison
from expt.comparison.values import plain, shortened

_MOST_ROWS = 50
_GAP = 2  # blanks between columns
_STYLES = {"FAILED": "red", "KILLED": "yellow", "UNREADABLE": "red", "RUNNING": "cyan"}


def show(console: Console, comparison: Comparison, title: str) -> None:
    """Prints the table, what is not finished, and what a reader should know."""
    num_runs, num_variants = comparison.num_runs, len(comparison.variants)
    _print(console, f"{title}: {_count(num_runs, 'run')}, {_count(num_variants, 'variant')}")
    left_out: list[Column] = []
    if comparison.variants:
        shown, left_out = _fitting(columns(comparison), console.width)
        console.print(_table(comparison, shown))
    notes = list(comparison.notes)
    if num_variants > _MOST_ROWS:
        notes.append(f"{num_variants - _MOST_ROWS} more variants are in --csv, --html and so on.")
    if left_out:
        titles = ", ".join(column.title for column in left_out)
        notes.append(f"No room here for {titles}: a wider terminal, --csv or --html shows them.")
    if comparison.unfinished:
        console.print()
        _print_unfinished(console, comparison.unfinished)
        more = len(comparison.unfinished) - _MOST_ROWS
        if more > 0:
            notes.append(f"{more} more runs are not finished.")
    if notes:
        console.print()
    for note in notes:
        _print(console, note)


def where(run: ComparedRun) -> str:
    """Returns a run's directory as it can be typed here."""
    return plain(os.path.relpath(run.directory))


def _table(comparison: Comparison, shown: Sequence[Column]) -> Table:
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold", pad_edge=False)
    for column in shown:
        table.add_column(
            Text("\n".join(_heading(column))),
            justify="left" if column.is_text else "right",
            vertical="bottom",
            overflow="fold",
        )
    rows = zip(*(column.cells for column in shown), strict=True)
    for variant, cells in list(zip(comparison.variants, rows, strict=True))[:_MOST_ROWS]:
        is_noise = variant.difference is not None and variant.difference.is_noise
        style = "bold green" if variant.is_best else "green" if is_noise else ""
        table.add_row(*map(Text, cells), style=style)
    return table


def _heading(column: Column) -> list[str]:
    """A heading in lines about as wide as the cells."""
    width = max(map(len, column.cells), default=0)
    if len(column.title) <= width:
        return [column.title]
    lines: list[str] = []
    parts = column.title.replace(".", ". ").replace("/", "/ ").split(" ")
    for part in parts:
        joined = f"{lines[-1]} {part}" if lines else part
        for ending in (".", "/"):
            joined = joined.replace(f"{ending} {part}", f"{ending}{part}")
        if lines and len(joined) <= max(width, 10):
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def _fitting(found: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """Returns the columns for which there is room, and those that are left out."""
    shown, left_out = list(found), []
    while sum(_width(column) for column in shown) - _GAP > width:
        least = max(shown, key=lambda column: column.importance)
        if least.importance == 0:
            break
        shown.remove(least)
        left_out.append(least)
    return shown, [column for column in found if column in left_out]


def _width(column: Column) -> int:
    return max(map(len, [*_heading(column), *column.cells])) + _GAP


def _print_unfinished(console: Console, runs: Sequence[ComparedRun]) -> None:
    for run in runs[:_MOST_ROWS]:
        step = "" if run.step is None else f"step {run.step}"
        line = Text(run.status, style=_STYLES.get(run.status, ""))
        line.append("  ".join(["", where(run), step, last_text(run)]).rstrip(), style="default")
        console.print(line, soft_wrap=True)
        if run.reason:
            console.print(Padding(Text(run.reason), (0, 0, 0, len(run.status) + _GAP)))


def last_text(run: ComparedRun) -> str:
    """Returns the last loss and metrics of a run that is not finished."""
    wanted = [name for name in run.metrics if name.startswith("val/")] or [
        name for name in run.metrics if name == "train/loss"
    ]
    return shortened(" ".join(f"{name} {run.metrics[name]:.4g}" for name in wanted[:2]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _print(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)
