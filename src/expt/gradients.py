"""`python -m expt.gradients [GROUP=NAME,…]`: draws the derivatives that GradientTape finds."""

import argparse
from pathlib import Path

from expt.cli import program, run_command
from expt.config.flags import parse
from expt.config.paths import expand_path
from expt.derivatives.folder import ResultFolder
from expt.derivatives.selection import GROUPS, select_jobs
from expt.record.phases import command_phases
from expt.train.backend import start_tensorflow


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("gradients"),
        description="Draws activations, losses and optimizers with the derivatives that "
        "GradientTape finds, beside closed forms, and writes a page with all figures and the "
        "code examples of common lecture notes.",
    )
    parser.add_argument(
        "selection",
        nargs="*",
        metavar="GROUP=NAME,…",
        help="options of act, loss and optimizer, or all of a group: act=relu,tanh loss=all; "
        "without any, all options of the three groups",
    )
    parser.add_argument("--config-dir", help="your own conf/ folder")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        type=expand_path,
        default=Path("outputs/gradients"),
        help="folder of the page and the figures (default: outputs/gradients); the files of an "
        "earlier call in it are replaced",
    )
    parser.add_argument("--record", action="store_true", help="also record all as a run")
    args = parse(parser, arguments, GROUPS)
    folder = ResultFolder(args.output)
    folder.check()
    jobs = select_jobs(args.selection, args.config_dir)
    phases = command_phases()
    phases.begin("starting TensorFlow", at_once=True)
    start_tensorflow(0, args.dtype)
    # Imported here, because it imports TensorFlow; mistakes have been reported before.
    from expt.derivatives.report import write_report

    write_report(jobs, args.dtype, folder, phases, is_recorded=args.record)
    return 0


if __name__ == "__main__":
    main()
