"""`python -m expt.evaluate RUN [data=… split=…]`: evaluates a finished run on any data."""

import sys

from expt.record.phases import command_phases, lap_seconds, show_start

if __name__ == "__main__":  # before the other imports, which take up to a second
    show_start("evaluate", sys.argv[1:])

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from expt.analysis.run_argument import RUN_HELP, add_metric_option, take_run
from expt.cli import program, run_command, take_options
from expt.config.compose import Job
from expt.parts.data.dataset import Dataset, Split
from expt.record.mlflow.recorder import log_evaluation
from expt.record.values import format_seconds, format_value
from expt.runs.changed_code import use_note
from expt.runs.find import FoundRun, file_name
from expt.train.backend import mistakes_told, start_for
from expt.train.launch import print_code_note, print_notes, print_replaced
from expt.train.saved import load_data, load_predictor
from expt.train.scoring import choose_examples


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=program("evaluate"),
        description="Evaluates a finished run's best model; the result is written beside the run "
        "and into its MLflow run. Of data that is not the run's own, or has changed since, "
        "examples are left out that the run was trained on or that its best model was chosen by.",
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="split=train|val|test|all (default: test of the run's own data, all of other data, "
        "which is then not split); data=…, data.KEY=… for other data; output_dir=… (default "
        "outputs)",
    )
    parser.add_argument("--config-dir", help="a conf/ folder of your own")
    add_metric_option(parser)
    args = parser.parse_intermixed_args(arguments)
    options, overrides = take_options(args.overrides, {"split": "", "output_dir": "outputs"})
    phases = command_phases()
    phases.begin("reading the run")
    run = take_run(args.run, Path(options["output_dir"]), args.metric)
    is_named = any(override.startswith("split=") for override in args.overrides)
    file, split = run.model_file, options["split"] if is_named else None
    phases.begin("loading data")
    loaded = load_data(run, overrides, args.config_dir, split)
    dataset, scored = loaded.dataset, choose_examples(run, loaded, split)
    phases.end()
    console = phases.console
    code_note = use_note(run.record, loaded.job.config, evaluates=True)
    print_replaced(console, [loaded.job], args.config_dir)
    print_notes(console, [*dataset.notes, *scored.notes])
    print_code_note(console, code_note)
    with phases("starting TensorFlow", at_once=True):
        start_for(loaded.job.config)
        phases.begin(f"evaluating {len(scored.examples):,} examples")
        values = _evaluate(loaded.job, run, dataset, scored.examples, file)

    name = f"{file_name(dataset.name)}-{scored.label}"
    result = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "split": scored.split,
        "examples": len(scored.examples),
        "left_out": scored.left_out,
        "notes": list(scored.notes),
        "step": run.record["best"]["step"],
        "time": time.time(),
        "metrics": values,
    }
    if code_note is not None:
        result["code"] = code_note
    path = _write(run, name, result)
    with phases("recording in MLflow"):
        recorded = log_evaluation(run, name, result["step"], values)
    _print(run.record["run_name"], result, path, recorded)
    return 0


def _evaluate(
    job: Job, run: FoundRun, dataset: Dataset, split: Split, file: Path
) -> dict[str, float]:
    from expt.parts.models.links import without_link
    from expt.train.building import make_saved_evaluate

    model = without_link(load_predictor(file, run, job))
    with mistakes_told(f"{file} can't be evaluated"):
        values, _ = make_saved_evaluate(job, dataset, model, split)()
    return values


def _write(run: FoundRun, name: str, result: Mapping[str, Any]) -> Path:
    """Writes a result atomically; an earlier one of the same data and split is replaced."""
    folder = run.directory / "evaluations"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_name(f"partial-{path.name}")
    partial.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def _title(result: Mapping[str, Any]) -> str:
    title = f"{result['split']} of {result['data']}"
    return f"{title}, new examples" if any(result["left_out"].values()) else title


def _print(name: str, result: Mapping[str, Any], path: Path, recorded: bool) -> None:
    console = Console()
    table = Table("metric", "value", title=f"{name}: {_title(result)}")
    for name, value in result["metrics"].items():
        table.add_row(name, format_value(value))
    console.print(table)
    examples = f"{result['examples']:,} examples, {format_seconds(lap_seconds())}"
    lines = [f"{examples}; written to {os.path.relpath(path)}"]
    if recorded:
        lines.append(f"and to MLflow as with/{path.stem}/…")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
