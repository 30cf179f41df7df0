"""`python -m expt.resume DIR [loop.epochs=…]`: finishes an interrupted run or sweep, in place."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.assembly import DataLoader, Sinks
from expt.changed_code import ALLOW_OPTION, check_code, resume_note
from expt.command import run_command, take_options
from expt.config.checks import check
from expt.config.compose import Job
from expt.config.frozen import read_frozen, with_overrides
from expt.config.sources import code_of
from expt.errors import UserError
from expt.launch import LOG_FILE, log_to, print_code_note, print_where_to_look, train_here
from expt.record.planned import PLAN_FILE
from expt.record.run import EXTENSIONS, Earlier, Status
from expt.runs.find import FoundRun, find_run, newest_run
from expt.runs.life import is_alive
from expt.sweep.plan import newest_plan, read_content


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m expt.resume",
        description="Finishes an interrupted run from its last checkpoint, in place, or what is "
        "left of a sweep. A finished run is extended if it is told how far: loop.epochs=60.",
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help="the directory of a run or a sweep, latest, or an MLflow run id",
    )
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
    args = parser.parse_intermixed_args(arguments)
    options, overrides = take_options(args.overrides, {"output_dir": "outputs"})
    sweep = _sweep(args.run, Path(options["output_dir"]))
    if sweep is not None:
        return _resume_sweep(sweep, overrides, args)
    run = find_run(args.run, Path(options["output_dir"]))
    run.check_record()
    _refuse_alive(run)
    job, changes = _changed(read_frozen(run.directory, run.record), overrides)
    was_closed = run.record.get("closed") is not False  # else it died while sinks took the rest
    if run.record["status"] == Status.FINISHED and was_closed and not changes:
        print(f"{_shown(run)} is finished; loop.epochs=… extends it")
        return 0
    console, sinks = Console(), Sinks()
    check(job)
    earlier = Earlier(run.record, changes, args.allow_code_change)
    changed = check_code(earlier, code_of(job.config), run.directory)
    print_code_note(console, resume_note(run.record, changed))
    dataset = DataLoader()(job)
    _check_data(run, dataset.fingerprint)
    log_to(run.directory / LOG_FILE)
    exit_code = train_here(job, dataset, run.directory, sinks(job), console, earlier)
    sinks.stop()
    print_where_to_look(console, run.output_dir)
    return exit_code


def _sweep(name: str, output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that is meant, if it is one.

    The latest is what began last, whether or not a job of it has.
    """
    if name != "latest":
        directory = Path(os.path.expanduser(name))  # noqa: PTH111  never raises
        return directory.resolve() if (directory / PLAN_FILE).is_file() else None
    plan, run = newest_plan(output_dir), newest_run(output_dir)
    if plan is None or (run is not None and run.record["started"] > read_content(plan)["started"]):
        plan = None if run is None else run.directory.parent
    return plan.resolve() if plan is not None and (plan / PLAN_FILE).is_file() else None


def _resume_sweep(directory: Path, overrides: list[str], args: argparse.Namespace) -> int:
    if overrides:
        raise UserError(f"{overrides[0]}: the jobs of a sweep are resumed as they were planned.")
    from expt.sweep.launch import go_on

    return go_on(
        directory,
        Console(),
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


def _changed(job: Job, overrides: list[str]) -> tuple[Job, Mapping[str, Any]]:
    changed, changes = with_overrides(job, overrides)
    for override in overrides:
        key = override.partition("=")[0]
        if key not in EXTENSIONS:
            raise UserError(
                f"{override}: a resumed run can't change what its steps do. Expected one of "
                f"{', '.join(EXTENSIONS)}; python -m expt.run --rerun RUN {override} begins a new "
                "run."
            )
    kept = {
        key: value
        for key, value in changes.items()
        if job.config["loop"][key.removeprefix("loop.")] != value
    }
    return changed, kept


def _check_data(run: FoundRun, fingerprint: str) -> None:
    recorded = run.record["data"]["fingerprint"]
    if fingerprint != recorded:
        raise UserError(
            f"the data has changed since {_shown(run)} began: its fingerprint is {fingerprint} and "
            f"was {recorded}. Restore it, or begin a new run: python -m expt.run --rerun "
            f"{_shown(run)}"
        )


def _shown(run: FoundRun) -> str:
    return os.path.relpath(run.directory)


if __name__ == "__main__":
    main()
