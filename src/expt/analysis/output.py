"""A comparison in all files that are asked for."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from expt.analysis.files import WRITERS, write_note
from expt.analysis.selection import select
from expt.analysis.table import Comparison, compare
from expt.runs.layout import NOTE, REPORT


def write_files(comparison: Comparison, targets: Mapping[str, Path], title: str) -> Iterator[Path]:
    """Writes a comparison; yields the files' names.

    Args:
        comparison: What to write.
        targets: The files of `csv`, `markdown`, `json` and `html`, and the folder of `plots`;
            what has none is not written.
        title: What was compared.
    """
    for kind, write in WRITERS.items():
        if kind in targets:
            write(comparison, _with_folder(targets[kind]), title)
            yield targets[kind]
    # Not above: they import matplotlib and Pillow, which a table does without.
    if "plots" in targets:
        from expt.analysis.plots import draw_plots

        for name, _, png in draw_plots(comparison):
            path = _with_folder(targets["plots"] / f"{name}.png")
            path.write_bytes(png)
            yield path
    if "html" in targets:
        from expt.analysis.page import write_page

        write_page(comparison, _with_folder(targets["html"]), title)
        yield targets["html"]


def summarise(directory: Path, target: Path) -> list[Path]:
    """Writes the summary of a sweep: its table, plots and the page with all of it.

    Args:
        directory: The sweep's.
        target: The folder for `table.csv`, `table.md` and its head `note.md`, `plots/` and
            `report.html`; `expt.ui` shows the page that is in `SUMMARY` of the sweep's directory.

    Returns:
        The files.

    Raises:
        UserError: No job of the sweep has begun.
    """
    selection = select([str(directory)], [], directory)
    comparison = compare(selection.runs, notes=selection.notes)
    return write_summary(comparison, target, selection.title)


def write_summary(comparison: Comparison, target: Path, title: str) -> list[Path]:
    """Writes what `summarise` does of a sweep that has been compared."""
    targets = {
        "csv": target / "table.csv",
        "markdown": target / "table.md",
        "plots": target / "plots",
        "html": target / REPORT,
    }
    write_note(comparison, _with_folder(target / NOTE))
    return [target / NOTE, *write_files(comparison, targets, title)]


def _with_folder(path: Path) -> Path:
    """Makes the folder in which a file is to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
