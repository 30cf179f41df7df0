"""`python -m expt.evaluate RUN [data=… split=…]`: evaluates a finished run on any data."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("evaluate", sys.argv[1:])

import argparse
from pathlib import Path

from expt.analysis.run_argument import add_run_argument, resolve_finished_run
from expt.cli import program, run_command
from expt.config.flags import split_options
from expt.prediction.evaluation import evaluate_run
from expt.train.messages import print_replaced_options
from expt.train.saved_model import load_data
from expt.train.scoring import choose_examples


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("evaluate"),
        description="Evaluates the best model of a finished run, and records the result in its "
        "directory and in MLflow. From other data, or data that has changed, it leaves out the "
        "examples that the run was trained on or its best model was selected by.",
    )
    add_run_argument(parser)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="split=train|val|test|all (default: test for the run's own data, all for other data, "
        "which is not split); data=…, data.KEY=… for other data; output_dir=… (default: outputs)",
    )
    parser.add_argument("--config-dir", help="your own conf/ folder")
    args = parser.parse_intermixed_args(arguments)
    options, overrides = split_options(args.overrides, {"split": "", "output_dir": "outputs"})
    is_named = any(override.startswith("split=") for override in args.overrides)
    split = options["split"] if is_named else None
    phases = command_phases()
    phases.begin("reading the run")
    run = resolve_finished_run(args, Path(options["output_dir"]))
    phases.begin("loading data")
    loaded = load_data(run, overrides, args.config_dir, split)
    scored = choose_examples(run, loaded, split)
    phases.end()  # a phase on display would mix with the lines below
    print_replaced_options(phases.console, [loaded.job], args.config_dir)
    evaluate_run(run, loaded, scored, phases)
    return 0


if __name__ == "__main__":
    main()
