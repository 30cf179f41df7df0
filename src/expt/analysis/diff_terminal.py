"""Terminal output of the differences between two runs."""

import os
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expt.analysis.differences import (
    DiffRow,
    Divergence,
    code_rows,
    config_rows,
    final_rows,
    find_divergences,
    module_rows,
    number_text,
    record_rows,
)
from expt.analysis.values import plain
from expt.errors import UserError
from expt.runs.find import FoundRun


def print_difference(console: Console, first: FoundRun, second: FoundRun) -> None:
    """Prints the differences between two runs, part by part.

    Parts without a difference are named in one line.

    Args:
        console: The terminal.
        first: Run A.
        second: Run B.
    """
    for letter, run in (("A", first), ("B", second)):
        text = f"{letter}  {os.path.relpath(run.directory)}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    parts = {
        "config": config_rows(first, second),
        "code": module_rows(first, second),
        "git": code_rows(first, second),
        "packages": record_rows(first, second, ["versions"]),
        "data": record_rows(first, second, ["data"]),
        "machine": record_rows(first, second, ["machine", "environment"]),
    }
    if first.record.git is None and second.record.git is None:
        del parts["git"]
        console.print("git: not recorded, neither run started in a checkout", highlight=False)
    unknown = [name for name, run in (("A", first), ("B", second)) if run.record.code is None]
    if unknown:
        del parts["code"]
        text = f"code: not recorded by {' and '.join(unknown)}, so it may differ"
        console.print(text, highlight=False)
    same = [name for name, rows in parts.items() if not rows]
    if same:
        console.print(f"the same: {', '.join(same)}", highlight=False)
    for name, rows in parts.items():
        if rows:
            _print(console, name, ("", "A", "B"), [(r.name, r.first, r.second) for r in rows])
    _print_metrics(console, first, second)
    rows = final_rows(first, second)
    _print(console, "final", ("", "A", "B", "B - A"), [*map(_with_difference, rows)])


def _print_metrics(console: Console, first: FoundRun, second: FoundRun) -> None:
    try:
        found = find_divergences(first, second)
    except UserError as error:
        # A damaged journal is no reason to hide the final values, which are in run.json.
        console.print(f"metrics: {plain(str(error))}", highlight=False, markup=False)
        return
    steps = [one.step for one in found if one.step is not None]
    title = f"metrics: diverge at step {min(steps)}" if steps else "metrics: do not diverge"
    _print(console, title, ("", "step", "A", "B"), [*_divergence_cells(found)])
    if not found:
        console.print("no metric was recorded by both runs", highlight=False)


def _divergence_cells(found: Sequence[Divergence]) -> Iterator[tuple[str, str, str, str]]:
    for one in found:
        name = plain(one.metric)
        if one.step is None:
            count = f"{one.common} common {'step' if one.common == 1 else 'steps'}"
            yield name, f"equal at {count}" if one.common else "no common step", "", ""
        else:
            yield name, str(one.step), number_text(one.first), number_text(one.second)


def _with_difference(row: DiffRow) -> tuple[str, str, str, str]:
    try:
        change = f"{float(row.second) - float(row.first):+.4g}"
    except ValueError:  # a status, or a value that one of the runs lacks
        change = ""
    return row.name, row.first, row.second, "" if change in ("+0", "-0") else change


def _print(
    console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    if not rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="bold", title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    # As Text, since rich would take a value such as [128,64] for markup.
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(Text(f"\n{title}", style="bold"))
    console.print(table)
