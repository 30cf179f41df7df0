"""What a sweep tells at its end: what came out, and what did not end well."""

import logging
import os
import shlex
from dataclasses import replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expt.record.planned import SUMMARY
from expt.sweep.plan import ENDED_WELL, JobStatus, Plan

_log = logging.getLogger(__name__)


def show_comparison(plan: Plan, console: Console) -> None:
    """Prints the table of what came out, and writes it with plots and a page."""
    # Not above: it imports SciPy and matplotlib, and training comes first.
    from expt.comparison.output import write_summary
    from expt.comparison.selection import select
    from expt.comparison.table import compare
    from expt.comparison.terminal import show

    if not plan.count(*ENDED_WELL):
        return
    try:
        selection = select([str(plan.directory)], [], plan.output_dir)
        comparison = compare(selection.runs, notes=selection.notes)
        show(console, replace(comparison, unfinished=()), selection.title)
        write_summary(comparison, plan.directory / SUMMARY, selection.title)
    # Whatever a plot stumbles over, the runs are there and have still to be closed.
    except Exception as error:  # noqa: BLE001
        _log.warning("the sweep's summary can't be made: %s", error)
        _log.info("making the summary failed", exc_info=error)


def exit_code(plan: Plan) -> int:
    """Returns 0 if all jobs have ended well, else 1."""
    return 0 if plan.count(*ENDED_WELL) == len(plan.jobs) else 1


def print_outcome(plan: Plan, console: Console) -> None:
    """Prints how many jobs ended well, which did not, and how the sweep goes on."""
    others = [job for job in plan.jobs if job.status not in ENDED_WELL]
    console.print(f"{len(plan.jobs) - len(others)} of {len(plan.jobs)} jobs finished")
    if not others:
        return
    table = Table("status", "job", "why", box=None, header_style="", pad_edge=False)
    for job in others:
        table.add_row(job.status, Text(job.name), Text(job.reason))
    console.print(table, highlight=False)
    where = shlex.quote(os.path.relpath(plan.directory))
    retries = any(job.status is JobStatus.FAILED for job in others)
    goes_on = any(job.status is not JobStatus.FAILED for job in others)
    if goes_on:
        console.print(f"python -m expt.resume {where} goes on", highlight=False, soft_wrap=True)
    if retries:
        line = f"python -m expt.resume --retry-failed {where} tries the failed ones again"
        console.print(line, highlight=False, soft_wrap=True)
