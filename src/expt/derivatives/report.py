"""Writes the page and its figures, and prints the differences from closed forms."""

from expt.derivatives.folder import ResultFolder
from expt.derivatives.page import PAGE, make_page
from expt.derivatives.selection import Jobs
from expt.derivatives.study import all_rows, make_sections
from expt.derivatives.terminal import print_rows
from expt.record.phases import Phases


def write_report(jobs: Jobs, dtype: str, folder: ResultFolder, phases: Phases) -> None:
    """Computes all derivatives, writes the page and its figures, and prints the table.

    Args:
        jobs: The selected options.
        dtype: `float32` or `float64`; Keras' dtype policy must be the same.
        folder: The folder of the page.
        phases: Shows what is being computed; its console prints the table.

    Raises:
        UserError: A part can't be made or differentiated.
    """
    sections = make_sections(jobs, dtype, phases)
    files = {picture.name: picture.data for one in sections for picture in one.pictures}
    page = folder.write({**files, PAGE: make_page(sections, dtype).encode()})
    print_rows(phases.console, all_rows(sections))
    phases.console.print(f"page: {page}", highlight=False, markup=False, soft_wrap=True)
