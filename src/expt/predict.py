"""`python -m expt.predict RUN INPUTS OUTPUTS`: a finished run's predictions for a file."""

import sys

from expt.record.phases import Phases, command_phases, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("predict", sys.argv[1:])

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expt.analysis.run_argument import RUN_HELP, add_metric_option, take_run
from expt.cli import program, run_command, take_options
from expt.config.compose import Job
from expt.config.flags import parse
from expt.config.frozen import read_frozen
from expt.config.paths import expanded
from expt.errors import UserError, hint
from expt.prediction.inputs import Batches, read_inputs
from expt.prediction.outputs import check_outputs, describe_outputs, write
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun
from expt.serving.outputs import as_columns, label_column
from expt.train.backend import mistakes_told, start_tensorflow
from expt.train.launch import print_code_note, print_notes
from expt.train.saved import load_predictor, recorded_outputs


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("predict"),
        description="Predicts with a finished run's best model: for classes their probabilities, "
        "or scores where the loss trains none; else values.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "inputs",
        metavar="INPUTS",
        type=expanded,
        help=".npy, .npz (array x), .csv (for a run on a table), an image, or a folder of images",
    )
    parser.add_argument(
        "outputs",
        metavar="OUTPUTS",
        type=expanded,
        help="a .csv (for classes: a column of them, called as the table's target or class, and "
        "probability NAME or score NAME of each; for values a column called as the target), .npz "
        "(arrays predictions and classes) or .npy (the predictions alone)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite OUTPUTS if it exists")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="output_dir=…")
    add_metric_option(parser)
    args = parse(parser, arguments, ["output_dir"])
    options, unknown = take_options(args.options, {"output_dir": "outputs"})
    if unknown:
        raise UserError(f"{unknown[0]}: {hint(unknown[0], ['output_dir=…'])}")
    check_outputs(args.outputs, args.inputs, force=args.force)
    phases = command_phases()
    phases.begin("reading the run")
    run = take_run(args.run, Path(options["output_dir"]), args.metric)
    file = run.model_file
    job = read_frozen(run.directory, run.record)
    phases.begin("reading the inputs")
    inputs = read_inputs(run, args.inputs)
    phases.end()
    console = phases.console
    print_notes(console, inputs.notes)
    print_code_note(console, use_note(run.record, job.config, evaluates=False))
    outputs = _predict(job, run, file, inputs.batches, phases)
    data, given = run.record["data"], recorded_outputs(run, job)
    table = as_columns(data, given.kind, outputs)
    label = label_column(data, given.kind) if data["task"] == "classification" else None
    write(args.outputs, inputs.about, table, outputs, label)
    console.print(
        f"{len(outputs)} predictions written to {args.outputs}: {describe_outputs(data, given)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 0


def _predict(
    job: Job, run: FoundRun, file: Path, batches: Batches, phases: Phases
) -> NDArray[np.float32]:
    first = next(batches)  # before TensorFlow starts: what is wrong with inputs is told at once
    with phases("starting TensorFlow", at_once=True):
        start_tensorflow(job.config["seed"], threads=job.config["loop"]["threads"])
        from expt.train.building import make_predict

        phases.begin("predicting")
        predict = make_predict(load_predictor(file, run, job))
        with mistakes_told(f"{file} can't predict"):
            return np.concatenate([predict(first), *map(predict, batches)])


if __name__ == "__main__":
    main()
