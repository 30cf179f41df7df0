"""`python -m expt.sync [DIR…]`: brings MLflow up to date from the files of runs."""

import argparse
from pathlib import Path

from rich.console import Console

from expt.analysis.run_argument import find_directory
from expt.cli import program, run_command
from expt.config.flags import parse, split_options
from expt.errors import UserError
from expt.runs.find import find_runs
from expt.sweep.sync import Synchronization


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("sync"),
        description="Updates MLflow from the journals of runs, and closes runs whose process has "
        "died.",
    )
    parser.add_argument(
        "directories",
        metavar="DIR",
        nargs="*",
        help="directory or name of a run or sweep, `latest`, `best`, or a folder that contains "
        "runs or sweeps (default: output_dir=outputs)",
    )
    parser.add_argument(
        "--restore",
        action="store_true",
        help="restore the runs of the given directories, and their experiments, if they were "
        "deleted in MLflow",
    )
    args = parse(parser, arguments, ["output_dir"])
    options, names = split_options(args.directories, {"output_dir": "outputs"})
    output_dir = Path(options["output_dir"])
    names = [str(find_directory(name, output_dir)) for name in names]
    # Restoring all runs would undo deletions that the user made on purpose.
    if args.restore and not names:
        raise UserError("--restore: expected the directories of the runs or sweeps to restore.")
    directories = find_runs(names or [str(output_dir)], is_default=not names)
    named = frozenset(Path(name).resolve() for name in names)
    sync = Synchronization(Console(), output_dir, named, args.restore)
    return 1 if sync.run(directories)["failed"] else 0


if __name__ == "__main__":
    main()
