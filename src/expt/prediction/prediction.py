"""Prediction with a finished run's best model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expt.config.frozen import read_frozen
from expt.config.job import Job
from expt.prediction.inputs import Batches, read_inputs
from expt.prediction.outputs import describe_outputs, write
from expt.record.phases import Phases
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun
from expt.serving.outputs import as_columns, label_column
from expt.train.backend import as_user_errors, start_tensorflow
from expt.train.messages import print_code_note, print_notes
from expt.train.saved_model import load_predictor, recorded_outputs


def predict_file(run: FoundRun, source: Path, target: Path, phases: Phases) -> str:
    """Predicts for a file or folder of inputs, and writes the predictions.

    Args:
        run: A finished run.
        source: The inputs; see `read_inputs`.
        target: The file to write; see `check_outputs`.
        phases: Shows the progress.

    Returns:
        A sentence about the file that was written.

    Raises:
        UserError: The inputs are wrong, the model cannot be loaded, or it fails on the inputs.
    """
    file, job = run.model_file, read_frozen(run.directory, run.record.to_mapping())
    phases.begin("reading the inputs")
    inputs = read_inputs(run, source)
    phases.end()
    print_notes(phases.console, inputs.notes)
    print_code_note(phases.console, use_note(run.record, job.config, evaluates=False))
    outputs = _predict(job, run, file, inputs.batches, phases)
    data, given = run.record.data, recorded_outputs(run, job)
    table = as_columns(data.to_mapping(), given.kind, outputs)
    label = label_column(data.to_mapping(), given.kind) if data.task == "classification" else None
    write(target, inputs.about, table, outputs, label)
    return f"{len(outputs)} predictions written to {target}: {describe_outputs(data, given)}"


def _predict(
    job: Job, run: FoundRun, file: Path, batches: Batches, phases: Phases
) -> NDArray[np.float32]:
    """Returns the predictions for all batches, shape [examples, …]."""
    first = next(batches)  # before TensorFlow is started, so that wrong inputs raise at once
    with phases("starting TensorFlow", at_once=True):
        start_tensorflow(job.config.seed, threads=job.config.loop.threads)
        from expt.train.inference import make_predict

        phases.begin("predicting")
        predict = make_predict(load_predictor(file, run, job))
        with as_user_errors(f"{file} can't predict"):
            return np.concatenate([predict(first), *map(predict, batches)])
