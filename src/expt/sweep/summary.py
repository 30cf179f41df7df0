"""The summary at the end of a sweep: comparison, best job, failed jobs, how to continue."""

import logging
import os
from dataclasses import replace
from importlib import import_module
from threading import Thread

from rich.console import Console
from rich.table import Table
from rich.text import Text

from expt.record.console import BEST_MARK
from expt.record.phases import Phases
from expt.record.values import format_seconds, format_value
from expt.runs.layout import REPORT, SUMMARY
from expt.runs.record_parts import JobStatus
from expt.sweep.best import best_job
from expt.sweep.jobs import SUCCESSFUL
from expt.sweep.plan import SweepPlan

_log = logging.getLogger(__name__)


def prepare_comparison() -> None:
    """Imports the modules of the comparison on another thread, while jobs are being trained."""
    # At the end, they would take over a second; at the start, they would delay the first job. A
    # daemon, so that it can't keep the process from ending.
    Thread(target=_import_comparison, daemon=True).start()


def _import_comparison() -> None:
    modules = ("analysis.output", "analysis.page", "analysis.plots", "record.figures")
    for name in modules:
        import_module(f"expt.{name}")


def show_comparison(plan: SweepPlan, phases: Phases) -> None:
    """Prints the comparison of the jobs, and writes the summary folder with plots and report."""
    if not plan.count(*SUCCESSFUL):
        return
    try:
        with phases("comparing the jobs"):
            _show_comparison(plan, phases)
    # A plot that fails must not keep the MLflow mirrors from being completed.
    except Exception as error:  # noqa: BLE001
        _log.warning("the sweep's summary can't be created: %s", error)
        _log.info("creating the summary failed", exc_info=error)


def _show_comparison(plan: SweepPlan, phases: Phases) -> None:
    # Not at the top, see `prepare_comparison`.
    from expt.analysis.output import write_summary
    from expt.analysis.selection import select
    from expt.analysis.table import compare
    from expt.analysis.terminal import print_comparison

    selection = select([str(plan.directory)], [], plan.output_dir)
    comparison = compare(selection.runs, notes=selection.notes)
    phases.end()
    print_comparison(phases.console, replace(comparison, unfinished=()), selection.title)
    phases.begin("drawing the report")
    write_summary(comparison, plan.directory / SUMMARY, selection.title)


def exit_code(plan: SweepPlan) -> int:
    """Returns 0 if all jobs are finished or reused, else 1."""
    return 0 if plan.count(*SUCCESSFUL) == len(plan.jobs) else 1


def print_outcome(plan: SweepPlan, console: Console, seconds: float | None = None) -> None:
    """Prints the number of finished jobs, the best job, and how to continue with the others.

    Args:
        plan: Plan of the sweep.
        console: Shows the lines.
        seconds: Duration of the command; None if it has trained nothing.
    """

    def show(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    others = [job for job in plan.jobs if job.status not in SUCCESSFUL]
    took = "" if seconds is None else f" in {format_seconds(seconds)}"
    show(f"{len(plan.jobs) - len(others)} of {len(plan.jobs)} jobs finished{took}")
    if (found := best_job(plan)) is not None:
        job, best = found
        show(f"{BEST_MARK} best single job  {job.name}  {best.metric} {format_value(best.value)}")
    report = plan.directory / SUMMARY / REPORT
    if report.is_file():
        show(f"report  {os.path.relpath(report)}")
    if not others:
        return
    table = Table("status", "job", "reason", box=None, header_style="", pad_edge=False)
    for job in others:
        table.add_row(job.status, Text(job.name), Text(job.reason))
    console.print(table, highlight=False)
    if any(job.status is not JobStatus.FAILED for job in others):
        show(f"To continue: python -m expt.resume {plan.quoted}")
    if any(job.status is JobStatus.FAILED for job in others):
        show(f"To retry the failed jobs: python -m expt.resume --retry-failed {plan.quoted}")
