"""The table of differences from closed forms in the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from expt.derivatives.study import Row
from expt.derivatives.tapes import Difference

HEADINGS = ("function", "|Δf'|", "|Δf''|", "largest at")
"""The headings of the table, here and on the page."""


def cells(row: Row) -> tuple[str, str, str, str]:
    """Returns the texts of a row."""
    return row.function, _size(row.first), _size(row.second), row.place


def print_rows(console: Console, rows: Iterable[Row]) -> None:
    """Prints the table; nothing if there are no rows."""
    texts = [cells(row) for row in rows]
    if not texts:
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading.startswith("|") else "left")
    for row in texts:
        table.add_row(*row)
    console.print("Largest difference of the tapes' derivatives from closed forms:")
    console.print(table)


def _size(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return "0" if difference.largest == 0 else f"{difference.largest:.1e}"
