"""`python -m expt.diff A B`: what differs between two runs, and where their metrics part."""

import argparse
from pathlib import Path

from rich.console import Console

from expt.command import run_command, take_options
from expt.comparison.diff_terminal import show_difference
from expt.errors import UserError
from expt.flags import parse
from expt.runs.find import find_run


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m expt.diff",
        description="Tells what differs between two runs: config, code, packages, data, the first "
        "step where their metrics part, and the final numbers.",
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="A B",
        help="two runs: a directory, latest, or an MLflow run id; output_dir=… (default outputs)",
    )
    options, names = take_options(
        parse(parser, arguments, ["output_dir"]).runs, {"output_dir": "outputs"}
    )
    if len(names) != 2:
        given = " ".join(names) or "nothing"
        raise UserError(
            f"expected two runs, A and B: directories, latest, or MLflow ids; {given} was given."
        )
    first, second = (find_run(name, Path(options["output_dir"])) for name in names)
    show_difference(Console(), first, second)
    return 0


if __name__ == "__main__":
    main()
