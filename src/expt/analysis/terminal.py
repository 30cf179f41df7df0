"""Terminal output of a comparison, fitted to the width of the terminal."""

import os
from collections.abc import Sequence
from dataclasses import replace

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from expt.analysis.cells import BEST_MARK, TableColumn, results
from expt.analysis.compared_run import ComparedRun
from expt.analysis.table import Comparison, measured_only
from expt.analysis.values import plain, shortened
from expt.analysis.variants import Variant, Verdict, label_parts
from expt.analysis.verdict import headline

_MOST_ROWS = 50
_GAP = 2  # blanks between columns
# Before a column of at most this importance is dropped (the difference, its p-value, the number of
# seeds), the names of the variants move to separate lines.
_DECISIVE = 3
_MOST_NAMED = 4  # columns
_STYLES = {"FAILED": "red", "KILLED": "yellow", "UNREADABLE": "red", "RUNNING": "cyan"}


def print_comparison(console: Console, comparison: Comparison, title: str) -> None:
    """Prints the result in words, the table, the unfinished runs, and the notes.

    Args:
        console: The terminal.
        comparison: The comparison.
        title: The title, which names the compared folders.
    """
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
            verb = "is" if more == 1 else "are"
            notes.append(
                f"{_count(more, 'more variant')} {verb} not shown; --csv and --html write all."
            )
        if left_out:
            named = ", ".join(left_out[:_MOST_NAMED])
            rest = len(left_out) - _MOST_NAMED
            named += f" and {_count(rest, 'more column')}" if rest > 0 else ""
            notes.append(
                f"Not shown for lack of space: {named}. Use a wider terminal, --csv or --html."
            )
    if comparison.unfinished:
        console.print()
        _print_unfinished(console, comparison.unfinished)
        more = len(comparison.unfinished) - _MOST_ROWS
        if more > 0:
            verb = "is" if more == 1 else "are"
            notes.append(f"{_count(more, 'more run')} {verb} not finished.")
    if notes:
        console.print()
    for note in notes:
        _print(console, note)


def where(run: ComparedRun) -> str:
    """Returns the directory of a run, relative to the current directory."""
    return plain(os.path.relpath(run.directory))


def _print_table(console: Console, comparison: Comparison) -> list[str]:
    """Prints the first variants; returns the titles of the columns that are left out.

    The names of the variants have a column where they fit, and otherwise separate lines.
    """
    variants = comparison.variants[:_MOST_ROWS]
    names = [" ".join(parts) for parts in label_parts(comparison.variants, is_short=True)]
    marked = [
        f"{BEST_MARK if variant.is_best else ' '} {name}"
        for variant, name in zip(variants, names, strict=False)
    ]
    found = results(comparison, variants)
    name = TableColumn("  variant" if any(names) else "", marked, is_text=True)
    shown, left_out = _fitting([name, *found], console.width)
    is_stacked = sum(map(_width, shown)) - _GAP > console.width or any(
        column.importance <= _DECISIVE for column in left_out
    )
    if is_stacked:
        shown, left_out = _fitting(
            [replace(name, cells=[" "] * len(variants)), *found], console.width
        )
    widths = [_width(column) - _GAP for column in shown]
    headings = [_heading(column) for column in shown]
    for index in reversed(range(max(map(len, headings)))):
        lines = [one[-1 - index] if index < len(one) else "" for one in headings]
        _print(console, _line(lines, shown, widths), style="bold")
    for index, variant in enumerate(variants):
        style = _style(variant)
        if is_stacked:
            _print(console, marked[index], style=style)
        _print(
            console, _line([column.cells[index] for column in shown], shown, widths), style=style
        )
    return [column.title for column in left_out]


def _line(cells: Sequence[str], columns: Sequence[TableColumn], widths: Sequence[int]) -> str:
    padded = []
    for cell, column, width in zip(cells, columns, widths, strict=True):
        blanks = " " * (width - cell_len(cell))
        padded.append(cell + blanks if column.is_text else blanks + cell)
    return (" " * _GAP).join(padded).rstrip()


def _style(variant: Variant) -> str:
    # Only the best variant is colored; a difference that is not significant must not stand out.
    return "bold green" if variant.verdict is Verdict.BEST else ""


def _heading(column: TableColumn) -> list[str]:
    """Breaks a heading into lines about as wide as the cells below it."""
    width = max(map(cell_len, column.cells), default=0)
    if cell_len(column.title) <= width:
        return [column.title]
    lines: list[str] = []
    title = column.title.replace(" %", "\N{NO-BREAK SPACE}%")
    parts = title.replace(".", ". ").replace("/", "/ ").split(" ")
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
    found: Sequence[TableColumn], width: int
) -> tuple[list[TableColumn], list[TableColumn]]:
    """Returns the columns that fit into a width, and those that are left out."""
    shown, left_out = list(found), []
    while sum(map(_width, shown)) - _GAP > width:
        last = max(shown, key=lambda column: column.importance)
        # Nothing else can go: the last resort is to drop the intervals beside the means.
        if last.importance == 0:
            shown = [_without_interval(column) for column in shown]
            break
        shown.remove(last)
        left_out.append(last)
    return shown, [column for column in found if column in left_out]


def _without_interval(column: TableColumn) -> TableColumn:
    return replace(
        column,
        title=column.title.removesuffix(", mean ± 95 %"),
        cells=[cell.partition(" ± ")[0] for cell in column.cells],
    )


def _width(column: TableColumn) -> int:
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
        # The terminal wraps the path, so that it can be copied as a whole.
        _print(console, " " * indent[3] + where(run), soft_wrap=True)


def last_text(run: ComparedRun) -> str:
    """Returns the last metrics of an unfinished run, such as `val/loss 0.21 val/accuracy 0.93`."""
    wanted = [name for name in run.metrics if name.startswith("val/")] or [
        name for name in run.metrics if name == "train/loss"
    ]
    return shortened(" ".join(f"{name} {run.metrics[name]:.4g}" for name in wanted[:2]))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _print(console: Console, text: str, *, style: str = "", soft_wrap: bool = False) -> None:
    console.print(Text(text, style=style, overflow="fold"), soft_wrap=soft_wrap)
