"""Evaluation of a finished run's best model, recorded in the run's directory and in MLflow."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from expt.config.job import Job
from expt.parts.data.dataset import Dataset, Split
from expt.record.mlflow.recorder import log_evaluation
from expt.record.phases import Phases, lap_seconds
from expt.record.values import format_seconds, format_value
from expt.runs.atomic import write_json
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun, file_name
from expt.train.backend import as_user_errors, start_for
from expt.train.messages import print_code_note, print_notes
from expt.train.saved_model import LoadedData, load_predictor
from expt.train.scoring import ScoredExamples


def evaluate_run(run: FoundRun, loaded: LoadedData, scored: ScoredExamples, phases: Phases) -> None:
    """Evaluates a run's best model; writes, records and prints the result.

    The result is `evaluations/DATA-SPLIT.json` in the run's directory, and metrics in MLflow.

    Args:
        run: A finished run.
        loaded: The data set, and the job that it was loaded for.
        scored: The examples of the data set to evaluate on.
        phases: Shows the progress.

    Raises:
        UserError: The model cannot be loaded, or cannot be evaluated on the data.
    """
    job, dataset = loaded.job, loaded.dataset
    code_note = use_note(run.record, job.config, evaluates=True)
    # Notes come first: a wrong file is noticed before the seconds that TensorFlow takes to start.
    print_notes(phases.console, [*dataset.notes, *scored.notes])
    print_code_note(phases.console, code_note)
    with phases("starting TensorFlow", at_once=True):
        start_for(job.config)
        phases.begin(f"evaluating {len(scored.examples):,} examples")
        values = _evaluate(job, run, dataset, scored.examples, run.model_file)
    name = f"{file_name(dataset.name)}-{scored.label}"
    result = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "split": scored.split,
        "examples": len(scored.examples),
        "left_out": scored.left_out,
        "notes": list(scored.notes),
        "step": run.best_step,
        "time": time.time(),
        "metrics": values,
    }
    if code_note is not None:
        result["code"] = code_note
    path = _write(run, name, result)
    with phases("recording in MLflow"):
        recorded = log_evaluation(run, name, run.best_step, values)
    _print(run.record.run_name, result, path, recorded)


def _evaluate(
    job: Job, run: FoundRun, dataset: Dataset, split: Split, file: Path
) -> dict[str, float]:
    # After TensorFlow was configured: these modules import it.
    from expt.parts.models.links import without_link
    from expt.train.inference import make_saved_evaluate

    # Losses and metrics take outputs such as logits, as in training, not predictions.
    model = without_link(load_predictor(file, run, job))
    with as_user_errors(f"{file} can't be evaluated", job.config):
        values, _ = make_saved_evaluate(job, dataset, model, split)()
    return values


def _write(run: FoundRun, name: str, result: Mapping[str, Any]) -> Path:
    """Writes a result atomically, replacing a previous one of the same data and split."""
    folder = run.directory / "evaluations"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    write_json(path, result)
    return path


def _title(result: Mapping[str, Any]) -> str:
    title = f"{result['split']} of {result['data']}"
    return f"{title}, new examples" if any(result["left_out"].values()) else title


def _print(name: str, result: Mapping[str, Any], path: Path, recorded: bool) -> None:
    console = Console()
    # A title of the table itself would be wrapped to the table's width, within a word.
    console.print(f"{name}: {_title(result)}", highlight=False)
    table = Table("metric", "value")
    for name, value in result["metrics"].items():
        table.add_row(name, format_value(value))
    console.print(table)
    examples = f"{result['examples']:,} examples, {format_seconds(lap_seconds())}"
    lines = [f"{examples}; written to {os.path.relpath(path)}"]
    if recorded:
        lines.append(f"and to MLflow as the metrics with/{path.stem}/…")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
