"""Writes the page and its figures, and prints the differences from closed forms."""

import os

from expt.derivatives.folder import ResultFolder
from expt.derivatives.page import PAGE, make_page
from expt.derivatives.recording import record_sections
from expt.derivatives.selection import Jobs
from expt.derivatives.study import all_rows, make_sections
from expt.derivatives.terminal import print_rows
from expt.record.phases import Phases


def write_report(
    jobs: Jobs, dtype: str, folder: ResultFolder, phases: Phases, *, is_recorded: bool
) -> None:
    """Computes all derivatives, writes the page and its figures, and prints the table.

    Args:
        jobs: The selected options.
        dtype: `float32` or `float64`; Keras' dtype policy must be the same.
        folder: The folder of the page.
        phases: Shows what is being computed; its console prints the table.
        is_recorded: Whether to record the figures and differences like a run, too.

    Raises:
        UserError: A part can't be made or differentiated.
    """
    sections = make_sections(jobs, dtype, phases)
    files = {picture.name: picture.data for one in sections for picture in one.pictures}
    page = folder.write({**files, PAGE: make_page(sections, dtype).encode()})
    print_rows(phases.console, all_rows(sections))
    lines = [f"page: {page}"]
    if is_recorded:
        with phases("recording the figures"):
            lines.append(f"recorded: {os.path.relpath(record_sections(jobs, sections, dtype))}")
    for line in lines:
        phases.console.print(line, highlight=False, markup=False, soft_wrap=True)
