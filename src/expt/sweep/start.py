"""Starts a new sweep, or continues an interrupted one."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from expt.config.hashes import run_hash, variant_hash
from expt.config.instantiate import bind_part, call_part
from expt.config.job import ComposedJob, Job
from expt.config.sources import code_of
from expt.record.phases import Phases
from expt.record.values import format_seconds
from expt.runs.record_parts import JobStatus
from expt.sweep.code_changes import use_current_code
from expt.sweep.data_changes import check_data
from expt.sweep.finished_runs import reuse_finished
from expt.sweep.jobs import PlannedJob
from expt.sweep.launchers import Launcher
from expt.sweep.launchers.fork_context import start_server
from expt.sweep.mirror import update_places
from expt.sweep.plan import SweepPlan
from expt.sweep.plan_reader import read_plan
from expt.sweep.preflight import check_kinds
from expt.sweep.proposed_jobs import ProposedJobs
from expt.sweep.search import Search, make_search, search_arguments, search_facts
from expt.sweep.session import run_jobs
from expt.sweep.summary import exit_code, print_outcome
from expt.train.data_loading import DataLoader
from expt.train.messages import print_code_note, print_where_to_look


def run_sweep(
    directory: Path,
    composed: Sequence[ComposedJob],
    data: Sequence[str],
    launcher: Launcher,
    phases: Phases,
    search: Search | None = None,
) -> int:
    """Plans a new sweep, checks its jobs and trains them.

    Args:
        directory: Directory of the sweep; created if it does not exist.
        composed: The composed jobs, whose configs have passed all checks that do not need
            TensorFlow.
        data: Fingerprint of each job's data.
        launcher: An idle launcher.
        phases: Show the progress before the first job starts. Their console also shows the sweep.
        search: Source of further jobs; None if there are none.

    Returns:
        The exit code.

    Raises:
        UserError: A job can't be trained. No job was started and no files were written.
    """
    config, console = composed[0].job.config, phases.console
    codes = [code_of(one.job.config).hash for one in composed]
    # Hashed before the check of the kinds, so that reused jobs need no check.
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
    # Before the directory is made, so that a config that can't be trained leaves no files behind.
    seconds = check_kinds(plan, kinds, launcher, phases) if kinds else None
    directory.mkdir(parents=True, exist_ok=True)
    with plan.locked():
        plan.freeze(composed)
        _print_reused(reused, console)
        _print_plan(plan, len(kinds), launcher.num_slots, seconds, console)
        proposed = None if search is None else ProposedJobs(search)
        return run_jobs(plan, launcher, console, proposed=proposed, seconds=seconds)


def resume_sweep(
    directory: Path, phases: Phases, *, retry_failed: bool, allow_code_change: bool = False
) -> int:
    """Continues an interrupted sweep.

    Args:
        directory: Directory of the sweep.
        phases: Show the progress before the first job starts. Their console also shows the sweep.
        retry_failed: Whether to train failed jobs again.
        allow_code_change: Whether the jobs may run code that has changed since it was planned.

    Returns:
        The exit code.

    Raises:
        UserError: The plan is damaged, another process has locked the sweep, or data or code have
            changed.
    """
    start_server()  # imports TensorFlow meanwhile
    plan, console = read_plan(directory), phases.console
    with plan.locked():
        update_places(plan)
        # Read again: the process that held the lock before may have changed the plan.
        plan = read_plan(directory)
        waiting, arguments = plan.unfinished(retry_failed=retry_failed), search_arguments(plan)
        # Nothing to train and nothing to mirror: no need to start TensorFlow.
        if not waiting and arguments is None and plan.facts.get("is_complete"):
            phases.end()
            print_outcome(plan, console)
            return exit_code(plan)
        note = use_current_code(plan, waiting, allow=allow_code_change)
        print_code_note(console, note)
        load = DataLoader()
        phases.begin("loading data")
        check_data(plan, waiting, load)
        proposed = None
        if arguments is not None:
            proposed = ProposedJobs(make_search(arguments, load), is_resumed=True)
        phases.end()
        # Without waiting jobs, only mirrors are incomplete; any job then selects the launcher.
        first, num_jobs = (waiting or plan.jobs)[0].job, None if proposed else len(waiting)
        launcher = start_launcher(first, num_jobs, load.shared())
        try:
            _print_plan(plan, len(waiting), launcher.num_slots, None, console)
            code = run_jobs(plan, launcher, console, proposed=proposed, retry_failed=retry_failed)
        finally:
            launcher.close()
    print_where_to_look(console, plan.output_dir, [job.job for job in plan.jobs])
    return code


def start_launcher(job: Job, num_jobs: int | None, load: DataLoader) -> Launcher:
    """Starts the launcher of a sweep.

    Args:
        job: The sweep's first job, whose config selects the launcher.
        num_jobs: Number of jobs; None if more jobs may follow.
        load: Loads the data of jobs; each worker gets a copy.
    """
    config = job.config
    launcher: Launcher = call_part(
        bind_part(config.launcher, "launcher"),
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
    parts = [f"{jobs} jobs", f"{workers} at a time"]
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
        line = f"REUSED {job.name}  from {os.path.relpath(job.reused)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
