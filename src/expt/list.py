"""`python -m expt.list [SWEEP] [KEY=VALUE…]`: lists runs and sweeps, newest first."""

import argparse

from expt.analysis.filters import split_arguments
from expt.analysis.listing import flatten_rows, list_jobs, list_rows
from expt.analysis.listing_terminal import print_rows
from expt.analysis.run_argument import format_sweep
from expt.cli import program, run_command
from expt.config.flags import parse
from expt.errors import UserError
from expt.runs.sweeps import find_sweep


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("list"),
        description="Lists runs and sweeps, newest first, with their best values: the monitored "
        "metric of the saved model, or that of a sweep's best run.",
    )
    parser.add_argument(
        "selection",
        nargs="*",
        metavar="SWEEP | KEY=VALUE",
        help="a sweep whose jobs are listed: its directory, its name, or latest; filters such as "
        "act=relu,tanh or status=FAILED; name=EXPERIMENT; output_dir=… (default: outputs)",
    )
    parser.add_argument("--jobs", action="store_true", help="list the jobs of each sweep below it")
    parser.add_argument("--metric", help="metric of the best values, such as val/accuracy")
    parser.add_argument("-n", type=_count, default=30, help="maximum of lines (30); 0 shows all")
    args = parse(parser, arguments)
    output_dir, names, filters = split_arguments(args.selection)
    if not names:
        rows = list_rows(output_dir, filters, args.metric)
        rows = list(flatten_rows(rows)) if args.jobs else rows
    else:
        if len(names) > 1:
            raise UserError(f"{' '.join(names)}: expected one sweep, or none to list all sweeps.")
        directory = find_sweep(names[0], output_dir)
        print(format_sweep(directory))
        rows = list_jobs(directory, filters, args.metric)
    print_rows(rows, args.n or len(rows))
    return 0


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, or 0 for all lines")
    return int(text)


if __name__ == "__main__":
    main()
