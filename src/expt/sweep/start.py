"""Starts a new sweep, or resumes an interrupted one."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from expt.config.compose import Composed, Job
from expt.config.hashes import run_hash, variant_hash
from expt.config.instantiate import call, part
from expt.config.sources import code_of
from expt.record.phases import Phases
from expt.record.values import format_seconds
from expt.runs.record_parts import JobStatus
from expt.sweep.code_changes import use_current_code
from expt.sweep.data_changes import check_data
from expt.sweep.finished_runs import reuse_finished
from expt.sweep.growth import Growth
from expt.sweep.jobs import PlannedJob
from expt.sweep.launchers import Launcher
from expt.sweep.mirror import settle
from expt.sweep.plan import SweepPlan
from expt.sweep.plan_reader import read_plan
from expt.sweep.preflight import check_kinds
from expt.sweep.scheduler import run_jobs
from expt.sweep.search import Search, make_search, search_arguments, search_facts
from expt.sweep.summary import exit_code, print_outcome
from expt.train.data_loading import DataLoader
from expt.train.messages import print_code_note, print_where_to_look


def run_sweep(
    directory: Path,
    composed: Sequence[Composed],
    data: Sequence[str],
    launcher: Launcher,
    phases: Phases,
    search: Search | None = None,
) -> int:
    """Plans a new sweep, checks its jobs and trains them.

    Args:
        directory: The sweep's; it may not exist yet.
        composed: The jobs, which have been checked as far as that goes without TensorFlow.
        data: The fingerprint of each job's data.
        launcher: An idle one.
        phases: Shown before the first job starts; the sweep is shown on their console.
        search: Where more jobs come from; None if these are all.

    Returns:
        The exit code.

    Raises:
        UserError: A job can't be trained; none was begun, and nothing is left of it.
    """
    config, console = composed[0].job.config, phases.console
    codes = [code_of(one.job.config).hash for one in composed]
    known = list(zip((one.job.config for one in composed), data, codes, strict=True))
    varied = None if search is None else search.varied
    plan = SweepPlan.make(directory, composed, [run_hash(*each) for each in known], varied)
    plan.facts |= {} if search is None else search_facts(search)
    reused: Sequence[PlannedJob] = ()
    if config.sweep.reuse:
        reused, note = reuse_finished(plan.jobs, data, plan.output_dir)
        _print_reuse_note(note, console)
    kinds = {
        number: variant_hash(*known[number])
        for number, job in enumerate(plan.jobs)
        if job.status is JobStatus.PENDING
    }
    seconds = check_kinds(plan, kinds, launcher, phases) if kinds else None
    directory.mkdir(parents=True, exist_ok=True)
    with plan.held():
        plan.freeze(composed)
        _print_reused(reused, console)
        _print_plan(plan, len(kinds), launcher.num_slots, seconds, console)
        growth = None if search is None else Growth(search)
        return run_jobs(plan, launcher, console, growth=growth, seconds=seconds)


def resume_sweep(
    directory: Path, phases: Phases, *, retry_failed: bool, allow_code_change: bool = False
) -> int:
    """Continues a sweep.

    Args:
        directory: The sweep's.
        phases: Shown before the first job starts; the sweep is shown on their console.
        retry_failed: Whether failed jobs are tried again, too.
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
        waiting, arguments = plan.to_do(retry_failed=retry_failed), search_arguments(plan)
        if not waiting and arguments is None and plan.facts.get("is_complete"):
            phases.end()
            print_outcome(plan, console)
            return exit_code(plan)
        note = use_current_code(plan, waiting, allow=allow_code_change)
        print_code_note(console, note)
        load = DataLoader()
        phases.begin("loading data")
        check_data(plan, waiting, load)
        growth = None
        if arguments is not None:
            growth = Growth(make_search(arguments, load), is_resumed=True)
        phases.end()
        first, num_jobs = (waiting or plan.jobs)[0].job, None if growth else len(waiting)
        launcher = start_launcher(first, num_jobs, load.shared())
        try:
            _print_plan(plan, len(waiting), launcher.num_slots, None, console)
            code = run_jobs(plan, launcher, console, growth=growth, retry_failed=retry_failed)
        finally:
            launcher.close()
    print_where_to_look(console, plan.output_dir)
    return code


def start_launcher(job: Job, num_jobs: int | None, load: DataLoader) -> Launcher:
    """Starts the launcher of a sweep.

    Args:
        job: The first of the sweep's jobs.
        num_jobs: How many there are; None if more may come.
        load: Loads their data; a copy goes to each worker.
    """
    config = job.config
    launcher: Launcher = call(
        part(config.launcher, "launcher"),
        "launcher",
        num_jobs=num_jobs,
        num_workers=config.sweep.workers,
        load=load,
        threads=config.loop.threads,
    )
    return launcher


def _print_plan(
    plan: SweepPlan, jobs: int, workers: int, seconds: float | None, console: Console
) -> None:
    parts = [f"{jobs} jobs", f"{workers} at once"]
    if seconds is not None:
        parts.append(f"about {format_seconds(math.ceil(seconds * jobs / max(1, workers)))}")
    where = os.path.relpath(plan.directory)
    line = f"sweep {plan.name} in {where}: {', '.join(parts)}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _print_reuse_note(note: str | None, console: Console) -> None:
    if note is not None:
        console.print(f"reuse: {note}", highlight=False, markup=False, soft_wrap=True)


def _print_reused(jobs: Sequence[PlannedJob], console: Console) -> None:
    for job in jobs:
        assert job.reused is not None
        line = f"REUSED {job.name}  of {os.path.relpath(job.reused)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
