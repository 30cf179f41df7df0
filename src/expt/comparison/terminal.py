"""The comparison on a terminal, at any width."""

import os
from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from expt.comparison.cells import BEST_MARK, Column, results
from expt.comparison.reading import ComparedRun
from expt.comparison.table import Comparison, measured_only
from expt.comparison.values import plain, shortened
from expt.comparison.variants import Variant, Verdict, label_parts
from expt.comparison.verdict import headline

_MOST_ROWS = 50
_GAP = 2  # blanks between columns
_LEAST = 16  # cells for a variant's name, before the last columns are left out
_STYLES = {"FAILED": "red", "KILLED": "yellow", "UNREADABLE": "red", "RUNNING": "cyan"}


def show(console: Console, comparison: Comparison, title: str) -> None:
    """Prints the result in words, the table, what is not finished, and notes."""
    num_runs, num_variants = comparison.num_runs, len(comparison.variants)
    _print(console, headline(comparison), style="bold")
    _print(console, f"{title}: {_count(num_runs, 'run')}, {_count(num_variants, 'variant')}")
    comparison = measured_only(comparison)
    notes = list(comparison.notes)
    if comparison.variants:
        console.print()
        left_out = _print_table(console, comparison)
        more = len(comparison.variants) - _MOST_ROWS
        if more > 0:
            notes.append(f"{_count(more, 'more variant')} are in --csv, --html and so on.")
        if left_out:
            notes.append(
                f"No room here for {', '.join(left_out)}: a wider terminal, --csv or --html shows "
                "them."
            )
    if comparison.unfinished:
        console.print()
        _print_unfinished(console, comparison.unfinished)
        more = len(comparison.unfinished) - _MOST_ROWS
        if more > 0:
            notes.append(f"{_count(more, 'more run')} are not finished.")
    if notes:
        console.print()
    for note in notes:
        _print(console, note)


def where(run: ComparedRun) -> str:
    """Returns a run's directory as it can be typed here."""
    return plain(os.path.relpath(run.directory))


def _print_table(console: Console, comparison: Comparison) -> list[str]:
    """Prints the first variants; returns the titles of the columns for which there is no room."""
    variants = comparison.variants[:_MOST_ROWS]
    names = [" ".join(parts) for parts in label_parts(comparison.variants, is_short=True)]
    names = names[:_MOST_ROWS]
    found = results(comparison, variants)
    longest = max(map(cell_len, names))
    shown, left_out = _fitting(found, console.width - _GAP - 1, min(longest, _LEAST))
    room = console.width - 1 - _GAP - sum(map(_width, shown)) if longest else 0
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("", width=1)
    if longest:
        table.add_column("variant", width=max(min(max(longest, 7), room - _GAP), 1), overflow="fold")
    for column in shown:
        table.add_column(
            Text("\n".join(_heading(column))),
            justify="left" if column.is_text else "right",
            vertical="bottom",
            overflow="fold",
        )
    rows = zip(*(column.cells for column in shown), strict=True)
    for variant, name, cells in zip(variants, names, rows, strict=True):
        first = [BEST_MARK if variant.is_best else "", *([name] if longest else [])]
        table.add_row(*map(Text, [*first, *cells]), style=_style(variant))
    console.print(table)
    return [column.title for column in left_out]


def _style(variant: Variant) -> str:
    """Green is the best one alone; what is not significant looks like nothing in particular."""
    return "bold green" if variant.verdict is Verdict.BEST else ""


def _heading(column: Column) -> list[str]:
    """A heading in lines about as wide as the cells."""
    width = max(map(cell_len, column.cells), default=0)
    if cell_len(column.title) <= width:
        return [column.title]
    lines: list[str] = []
    parts = column.title.replace(".", ". ").replace("/", "/ ").split(" ")
    for part in parts:
        joined = f"{lines[-1]} {part}" if lines else part
        for ending in (".", "/"):
            joined = joined.replace(f"{ending} {part}", f"{ending}{part}")
        if lines and cell_len(joined) <= max(width, 10):
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def _fitting(
    found: Sequence[Column], width: int, least: int
) -> tuple[list[Column], list[Column]]:
    """Returns the columns for which there is room, and those that are left out.

    Args:
        found: All of them.
        width: The cells there are.
        least: The cells that the variant's name has to get.
    """
    shown, left_out = list(found), []
    while sum(map(_width, shown)) + least > width:
        last = max(shown, key=lambda column: column.importance)
        if last.importance == 0:
            shown = [_without_interval(column) for column in shown]
            break
        shown.remove(last)
        left_out.append(last)
    return shown, [column for column in found if column in left_out]


def _without_interval(column: Column) -> Column:
    return replace(
        column,
        title=column.title.removesuffix(", mean ± 95 %"),
        cells=[cell.partition(" ± ")[0] for cell in column.cells],
    )


def _width(column: Column) -> int:
    return max(map(cell_len, [*_heading(column), *column.cells])) + _GAP


def _print_unfinished(console: Console, runs: Sequence[ComparedRun]) -> None:
    for run in runs[:_MOST_ROWS]:
        line = Text(run.status, style=_STYLES.get(run.status, ""))
        step = "" if run.step is None else f"step {run.step}"
        rest = [part for part in (run.name, step, last_text(run)) if part]
        line.append("".join(f"  {part}" for part in rest), style="default")
        console.print(line, overflow="fold")
        indent = (0, 0, 0, len(run.status) + _GAP)
        if run.reason:
            console.print(Padding(Text(run.reason, overflow="fold"), indent))
        # A path stays whole, to be copied: the terminal breaks it.
        _print(console, " " * indent[3] + where(run), soft_wrap=True)


def last_text(run: ComparedRun) -> str:
    """Returns the last loss and metrics of a run that is not finished."""
    wanted = [name for name in run.metrics if name.startswith("val/")] or [
        name for name in run.metrics if name == "train/loss"
    ]
    return shortened(" ".join(f"{name} {run.metrics[name]:.4g}" for name in wanted[:2]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _print(console: Console, text: str, *, style: str = "", soft_wrap: bool = False) -> None:
    console.print(Text(text, style=style, overflow="fold"), soft_wrap=soft_wrap)
