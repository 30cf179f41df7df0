"""`python -m expt.resume RUN [loop.epochs=…]`: continues an interrupted run or sweep in place."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("resume", sys.argv[1:])

import argparse
from pathlib import Path

from expt.analysis.run_argument import RUN_HELP, add_metric_option, resolve_run
from expt.cli import program, run_command
from expt.config.flags import parse, split_options
from expt.errors import UserError
from expt.runs.changed_code import ALLOW_OPTION
from expt.runs.run import RESUMABLE_KEYS
from expt.sweep.sweep_argument import find_sweep_argument
from expt.train.resume.start import resume_run


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("resume"),
        description="Continues an interrupted run from its last checkpoint, or the remaining jobs "
        "of a sweep. loop.epochs=60 extends a finished run; its schedule then covers the new "
        "length, unless schedule.total_steps=… keeps the previous one.",
    )
    parser.add_argument("run", metavar="RUN", help=f"{RUN_HELP}; or a sweep's directory or name")
    add_metric_option(parser)
    parser.add_argument("--retry-failed", action="store_true", help="retry a sweep's failed jobs")
    parser.add_argument(
        ALLOW_OPTION, action="store_true", help="continue even if the code has changed"
    )
    keys = ", ".join(f"{key}=…" for key in (*RESUMABLE_KEYS, "output_dir"))
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=keys)
    args = parse(parser, arguments)
    options, overrides = split_options(args.overrides, {"output_dir": "outputs"})
    phases, output_dir = command_phases(), Path(options["output_dir"])
    phases.begin("reading the run")
    sweep = find_sweep_argument(args.run, output_dir)
    allowed = args.allow_code_change
    if sweep is None:
        run = resolve_run(args.run, output_dir, args.metric)
        return resume_run(run, overrides, phases, allow_code_change=allowed)
    if overrides:
        raise UserError(f"{overrides[0]}: a sweep resumes as planned; expected no overrides.")
    from expt.sweep.start import resume_sweep  # slow, and needed for sweeps only

    return resume_sweep(sweep, phases, retry_failed=args.retry_failed, allow_code_change=allowed)


if __name__ == "__main__":
    main()
