"""`python -m expt.list [SWEEP] [KEY=VALUE…]`: runs and sweeps, newest first."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from expt.analysis.listing import Row, flattened, list_jobs, list_rows
from expt.analysis.listing_terminal import list_lines
from expt.analysis.run_argument import shown_sweep
from expt.cli import parse_output_dir, program, run_command
from expt.config.flags import parse
from expt.errors import UserError
from expt.runs.sweeps import find_sweep

_MOST = 30


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("list"),
        description="Lists runs and sweeps, newest first, with their best values: those of the "
        "kept models, of a sweep that of its best run.",
    )
    parser.add_argument(
        "selection",
        nargs="*",
        metavar="SWEEP | KEY=VALUE",
        help="a sweep, whose jobs are listed: its directory, its name, or latest; filters such as "
        "act=relu,tanh or status=FAILED; name=EXPERIMENT; output_dir=… (default outputs)",
    )
    parser.add_argument("--jobs", action="store_true", help="list each sweep's jobs below it")
    parser.add_argument("--metric", help="the metric of the best values, such as val/accuracy")
    parser.add_argument(
        "-n", type=_count, default=_MOST, help="how many lines at most (%(default)s); 0 is all"
    )
    args = parse(parser, arguments)
    output_dir, sweep, filters = _sorted_out(args.selection)
    if sweep is None:
        rows = list_rows(output_dir, filters, args.metric)
        rows = list(flattened(rows)) if args.jobs else rows
    else:
        directory = find_sweep(sweep, output_dir)
        print(shown_sweep(directory))
        rows = list_jobs(directory, filters, args.metric)
    _print(rows, args.n or len(rows))
    return 0


def _print(rows: Sequence[Row], most: int) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in list_lines(rows[:most], width):
        print(line)
    if len(rows) > most:
        print(f"{len(rows) - most} more, older ones; -n 0 lists all")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, 0 for all")
    return int(text)


def _sorted_out(selection: Sequence[str]) -> tuple[Path, str | None, list[str]]:
    """Separates the output directory, the sweep and the filters."""
    output_dir, names, filters = Path("outputs"), list[str](), list[str]()
    for text in selection:
        key, equals, value = text.partition("=")
        if key == "output_dir" and equals:
            output_dir = parse_output_dir(value)
        elif equals and "/" not in key and not Path(text).is_dir():
            filters.append(text)
        else:
            names.append(text)
    if len(names) > 1:
        raise UserError(f"{' '.join(names)}: expected one sweep. Without one, all are listed.")
    return output_dir, next(iter(names), None), filters


if __name__ == "__main__":
    main()
