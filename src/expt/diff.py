"""`python -m expt.diff A B`: the differences between two runs, and where their metrics diverge."""

import argparse
from pathlib import Path

from rich.console import Console

from expt.analysis.diff_terminal import print_difference
from expt.analysis.run_argument import RUN_HELP, add_metric_option, resolve_runs
from expt.cli import program, run_command
from expt.config.flags import parse, split_options
from expt.errors import UserError


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("diff"),
        description="Shows the differences between two runs: config, code, packages, data, the "
        "first step at which their metrics diverge, and the final values.",
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="A B",
        help=f"two runs, each given as {RUN_HELP}; output_dir=… (default: outputs)",
    )
    add_metric_option(parser)
    args = parse(parser, arguments, ["output_dir"])
    options, names = split_options(args.runs, {"output_dir": "outputs"})
    if len(names) != 2:
        given = " ".join(names) or "nothing"
        raise UserError(
            f"expected two runs, A and B, each a directory, a name, latest, best or an MLflow run "
            f"id; got {given}."
        )
    first, second = resolve_runs(names, Path(options["output_dir"]), args.metric)
    print_difference(Console(), first, second)
    return 0


if __name__ == "__main__":
    main()
