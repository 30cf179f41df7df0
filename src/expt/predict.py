"""`python -m expt.predict RUN INPUTS OUTPUTS`: writes a finished run's predictions for a file."""

import sys

from expt.record.phases import command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("predict", sys.argv[1:])

import argparse

from expt.analysis.run_argument import add_run_argument, resolve_finished_run
from expt.cli import program, run_command
from expt.config.flags import parse, take_output_dir
from expt.config.paths import expand_path
from expt.prediction.outputs import check_outputs
from expt.prediction.prediction import predict_file


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("predict"),
        description="Predicts with the best model of a finished run: probabilities of classes "
        "(scores if the loss does not train probabilities), or values.",
    )
    add_run_argument(parser)
    parser.add_argument(
        "inputs",
        metavar="INPUTS",
        type=expand_path,
        help=".npy, .npz (array x), .csv (for a run on a table), an image, or a folder of images",
    )
    parser.add_argument(
        "outputs",
        metavar="OUTPUTS",
        type=expand_path,
        help="a .csv (for classification: a column of classes, named after the target or class, "
        "and a column probability NAME or score NAME per class; for values: a column named after "
        "the target), .npz (arrays predictions and classes) or .npy (predictions only)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUTPUTS if it exists")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="output_dir=…")
    args = parse(parser, arguments, ["output_dir"])
    output_dir = take_output_dir(args.options)
    check_outputs(args.outputs, args.inputs, force=args.force)
    phases = command_phases()
    phases.begin("reading the run")
    run = resolve_finished_run(args, output_dir)
    done = predict_file(run, args.inputs, args.outputs, phases)
    phases.console.print(done, highlight=False, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    main()
