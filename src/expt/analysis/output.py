"""The output files of a comparison, and the summary of a sweep."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from expt.analysis.files import WRITERS, write_note
from expt.analysis.selection import select
from expt.analysis.table import Comparison, compare
from expt.runs.layout import NOTE, REPORT


def write_files(comparison: Comparison, targets: Mapping[str, Path], title: str) -> Iterator[Path]:
    """Writes a comparison to files, and yields the path of each one after it is written.

    Args:
        comparison: The comparison.
        targets: The paths of the files for `csv`, `markdown`, `json` and `html`, and of the folder
            for `plots`. Kinds without a path are not written.
        title: The title, which names the compared folders.
    """
    for kind, write in WRITERS.items():
        if kind in targets:
            write(comparison, _with_folder(targets[kind]), title)
            yield targets[kind]
    # Imported here, since matplotlib and Pillow would delay a command that prints a table.
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


def summarize_sweep(directory: Path, target: Path) -> list[Path]:
    """Writes the summary of a sweep: the table, plots, and the HTML report.

    Args:
        directory: The directory of the sweep.
        target: The folder for `table.csv`, `table.md`, `note.md` (the top of the table), `plots/`
            and `report.html`.

    Returns:
        The paths of the written files.

    Raises:
        UserError: No job of the sweep has started.
    """
    selection = select([str(directory)], [], directory)
    comparison = compare(selection.runs, notes=selection.notes)
    return write_summary(comparison, target, selection.title)


def write_summary(comparison: Comparison, target: Path, title: str) -> list[Path]:
    """Writes the summary of a sweep that has already been compared; see `summarize_sweep`."""
    targets = {
        "csv": target / "table.csv",
        "markdown": target / "table.md",
        "plots": target / "plots",
        "html": target / REPORT,
    }
    write_note(comparison, _with_folder(target / NOTE))
    return [target / NOTE, *write_files(comparison, targets, title)]


def _with_folder(path: Path) -> Path:
    """Creates the parent folder of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
