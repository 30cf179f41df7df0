"""`python -m expt.resume DIR [loop.epochs=…]`: finishes an interrupted run or sweep, in place."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("resume", sys.argv[1:])

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from expt.analysis.run_argument import RUN_HELP, add_metric_option, shown_sweep, take_run
from expt.cli import program, run_command
from expt.config.checks import check
from expt.config.compose import Job
from expt.config.flags import parse, take_options
from expt.config.frozen import read_frozen, with_overrides
from expt.config.full_keys import meant
from expt.config.sources import code_of
from expt.errors import UserError
from expt.runs.best import is_best
from expt.runs.changed_code import ALLOW_OPTION, check_code, resume_note
from expt.runs.find import FoundRun, newest_run
from expt.runs.life import is_alive
from expt.runs.order import newest
from expt.runs.planned import PLAN_FILE
from expt.runs.recorded_data import check_unchanged
from expt.runs.records import RunRecord
from expt.runs.run import EXTENSIONS, Earlier, Status
from expt.runs.sweeps import sweep_named
from expt.sweep.plan_reader import newest_plan
from expt.train.data_loading import DataLoader
from expt.train.launch import LOG_FILE, log_to, print_code_note, print_where_to_look, train_here
from expt.train.recorders import Sinks
from expt.train.resume.checks import check_extension


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("resume"),
        description="Finishes an interrupted run from its last checkpoint, in place, or what is "
        "left of a sweep. loop.epochs=60 extends a finished run; a schedule then goes over the "
        "whole length, unless schedule.total_steps=… keeps the former one.",
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help=f"{RUN_HELP}; or a sweep's directory or name",
    )
    add_metric_option(parser)
    parser.add_argument(
        "--retry-failed", action="store_true", help="of a sweep: jobs that have failed, too"
    )
    parser.add_argument(
        ALLOW_OPTION,
        action="store_true",
        help="continue although the code has changed; run.json then says from which step on",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help=f"{', '.join(f'{key}=…' for key in EXTENSIONS)}; output_dir=… (default outputs)",
    )
    args = parse(parser, arguments)
    options, overrides = take_options(args.overrides, {"output_dir": "outputs"})
    phases = command_phases()
    phases.begin("reading the run")
    sweep = _sweep(args.run, Path(options["output_dir"]))
    if sweep is not None:
        return _resume_sweep(sweep, overrides, args)
    run = take_run(args.run, Path(options["output_dir"]), args.metric)
    run.check_record()
    _refuse_alive(run)
    job = read_frozen(run.directory, run.record)
    if run.directory.is_relative_to(run.output_dir):
        job = replace(job, moved_to=run.output_dir)
    changed, earlier = _changed(job, run.record, overrides)
    was_closed = run.record.get("closed") is not False  # else it died while sinks took the rest
    if run.record["status"] == Status.FINISHED and was_closed and not earlier.changes:
        phases.end()
        print(f"{_shown(run)} is finished; loop.epochs=… extends it")
        return 0
    console, sinks = phases.console, Sinks()
    check(changed)
    earlier = replace(earlier, allows_code_change=args.allow_code_change)
    modules = check_code(earlier, code_of(changed.config), run.directory)
    print_code_note(console, resume_note(run.record, modules))
    with phases("loading data"):
        dataset = DataLoader()(changed)
        check_unchanged(run.record["data"], dataset, _shown(run))
        check_extension(changed, dataset, run.directory, earlier)
    log_to(run.directory / LOG_FILE)
    exit_code = train_here(changed, dataset, run.directory, sinks(changed), console, earlier)
    sinks.stop()
    print_where_to_look(console, run.output_dir)
    return exit_code


def _sweep(name: str, output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that is meant, if it is one.

    The latest is what began last, whether or not a job of it has.
    """
    if is_best(name):
        return None
    if name != "latest":
        directory = Path(os.path.expanduser(name))  # noqa: PTH111  never raises
        if os.path.isfile(directory / PLAN_FILE):  # noqa: PTH113
            return directory.resolve()
        named = sweep_named(name, output_dir)
        return None if named is None else named.resolve()
    plan, run = newest_plan(output_dir), newest_run(output_dir)
    files = [] if plan is None else [plan / PLAN_FILE]
    files += [] if run is None else [run.directory / "run.json"]
    last = newest(files, output_dir)
    if last is None:
        return None
    sweep = plan if last.name == PLAN_FILE else last.parent.parent
    if sweep is None or not (sweep / PLAN_FILE).is_file():
        return None
    print(f"latest: {shown_sweep(sweep)}", flush=True)
    return sweep.resolve()


def _resume_sweep(directory: Path, overrides: list[str], args: argparse.Namespace) -> int:
    if overrides:
        raise UserError(f"{overrides[0]}: the jobs of a sweep are resumed as they were planned.")
    from expt.sweep.start import resume_sweep

    return resume_sweep(
        directory,
        command_phases(),
        retry_failed=args.retry_failed,
        allow_code_change=args.allow_code_change,
    )


def _refuse_alive(run: FoundRun) -> None:
    if run.record["status"] != Status.RUNNING or is_alive(run.record) is False:
        return
    process = run.record.get("process", {})
    if is_alive(run.record):
        raise UserError(f"{_shown(run)} is being trained by process {process['id']}.")
    raise UserError(
        f"{_shown(run)} is RUNNING on the host {process.get('host', 'unknown')}, and whether it "
        f"still is can't be told from here. If it is not: python -m expt.sync {_shown(run)}"
    )


def _changed(job: Job, record: RunRecord, overrides: list[str]) -> tuple[Job, Earlier]:
    """Returns the job as it is continued, and what is known of it until now."""
    before = job.config.flat()
    for override in overrides:
        key = override.partition("=")[0]
        if key not in EXTENSIONS:
            raise UserError(f"{override}: {_refused(override, before)}")
    # A run that was recorded before a key was introduced lacks it.
    known = [o if o.partition("=")[0] in before else f"+{o}" for o in overrides]
    changed, given = with_overrides(job, known)
    changes = {key: value for key, value in given.items() if before.get(key) != value}
    return changed, Earlier(record, changes, {k: before[k] for k in changes if k in before})


def _refused(override: str, config: Mapping[str, Any]) -> str:
    key, _, value = override.partition("=")
    question = None if key in config or "." in key else meant(key, value, config)
    if question is not None:
        return f"there is no such key. {question}"
    return (
        f"a resumed run can't change what its steps do. Expected one of {', '.join(EXTENSIONS)}; "
        f"python -m expt.run --rerun RUN {override} begins a new run."
    )


def _shown(run: FoundRun) -> str:
    return os.path.relpath(run.directory)


if __name__ == "__main__":
    main()
