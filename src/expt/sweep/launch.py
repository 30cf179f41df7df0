"""From the composed jobs of a sweep to their plan, and from a plan to its end."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from expt.config.compose import Composed
from expt.config.hashes import run_hash, variant_hash
from expt.config.sources import code_of
from expt.record.phases import Phases
from expt.record.values import format_seconds
from expt.sweep.checking import check_kinds
from expt.sweep.code import use_current_code
from expt.sweep.conduct import Limits, conduct, to_do
from expt.sweep.data import check_data
from expt.sweep.following import settle
from expt.sweep.outcome import exit_code, print_outcome
from expt.sweep.plan import JobStatus, Plan, PlannedJob, read_plan
from expt.sweep.reuse import reuse_finished
from expt.sweep.workers import Workers
from expt.train.data_loading import DataLoader
from expt.train.messages import print_code_note, print_where_to_look


def launch(
    directory: Path,
    composed: Sequence[Composed],
    data: Sequence[str],
    workers: Workers,
    phases: Phases,
) -> int:
    """Plans a new sweep, checks its jobs and trains them.

    Args:
        directory: The sweep's; it may not exist yet.
        composed: The jobs, which have been checked as far as that goes without TensorFlow.
        data: The fingerprint of each one's data.
        workers: Free ones.
        phases: Shown before the first job starts; the sweep is shown on their console.

    Returns:
        The exit code.

    Raises:
        UserError: A job can't be trained; none was begun, and nothing is left of it.
    """
    config, console = composed[0].job.config, phases.console
    codes = [code_of(one.job.config).hash for one in composed]
    known = list(zip((one.job.config for one in composed), data, codes, strict=True))
    plan = Plan.make(directory, composed, [run_hash(*each) for each in known])
    reused = reuse_finished(plan.jobs, plan.output_dir) if config["sweep"]["reuse"] else ()
    kinds = {
        number: variant_hash(*known[number])
        for number, job in enumerate(plan.jobs)
        if job.status is JobStatus.PENDING
    }
    seconds = check_kinds(plan, kinds, workers, phases) if kinds else None
    directory.mkdir(parents=True, exist_ok=True)
    with plan.held():
        plan.freeze(composed)
        _tell_reused(reused, console)
        _tell_plan(plan, len(kinds), workers.number, seconds, console)
        return conduct(plan, Limits.of(config), workers, console, seconds=seconds)


def go_on(
    directory: Path, phases: Phases, *, retry_failed: bool, allow_code_change: bool = False
) -> int:
    """Continues a sweep.

    Args:
        directory: The sweep's.
        phases: Shown before the first job starts; the sweep is shown on their console.
        retry_failed: Whether jobs that have failed are tried again, too.
        allow_code_change: Whether the jobs may run other code than was planned.

    Returns:
        The exit code.

    Raises:
        UserError: Its plan is damaged, another process is at it, or data or code have changed.
    """
    plan, console = read_plan(directory), phases.console
    with plan.held():
        settle(plan)
        plan = read_plan(directory)  # as the one that held it before has left it
        waiting = to_do(plan, retry_failed=retry_failed)
        if not waiting and plan.facts.get("is_complete"):
            phases.end()
            print_outcome(plan, console)
            return exit_code(plan)
        note = use_current_code(plan, waiting, allow=allow_code_change)
        print_code_note(console, note)
        limits = Limits.of((waiting or plan.jobs)[0].job.config)
        load = DataLoader()
        phases.begin("loading data")
        check_data(plan, waiting, load)
        phases.end()
        workers = limits.start_workers(len(waiting), load.shared())
        try:
            _tell_plan(plan, len(waiting), workers.number, None, console)
            code = conduct(plan, limits, workers, console, retry_failed=retry_failed)
        finally:
            workers.close()
    print_where_to_look(console, plan.output_dir)
    return code


def _tell_plan(
    plan: Plan, jobs: int, workers: int, seconds: float | None, console: Console
) -> None:
    told = [f"{jobs} jobs", f"{workers} at once"]
    if seconds is not None:
        told.append(f"about {format_seconds(math.ceil(seconds * jobs / max(1, workers)))}")
    where = os.path.relpath(plan.directory)
    line = f"sweep {plan.name} in {where}: {', '.join(told)}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _tell_reused(jobs: Sequence[PlannedJob], console: Console) -> None:
    for job in jobs:
        assert job.reused is not None
        line = f"REUSED {job.name}  of {os.path.relpath(job.reused)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
