"""Lines that commands print before and after training: notes, the outcome, where to look."""

import logging
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.job import Job
from expt.config.location import replaced_options
from expt.config.paths import expand_path
from expt.record.console import BEST_MARK
from expt.record.values import format_seconds, format_value
from expt.runs.git import git_state, git_trouble
from expt.runs.records import RUN_FILE, RunRecord, read_run
from expt.train.learning_rate_range import SUGGESTED_RATE

_log = logging.getLogger(__name__)
_RATE_KEY = "optimizer.learning_rate"


def print_notes(console: Console, notes: Sequence[str]) -> None:
    """Prints the notes of a data source, such as how many files were skipped."""
    for note in notes:
        console.print(f"data: {note}", highlight=False, markup=False, soft_wrap=True)


def print_code_note(console: Console, note: str | None) -> None:
    """Prints and logs a note about changed code, if there is one."""
    if note is not None:
        console.print(f"code: {note}", highlight=False, markup=False, soft_wrap=True)
        _log.info("code: %s", note)


def print_replaced_options(console: Console, jobs: Sequence[Job], config_dir: str | None) -> None:
    """Prints which options of expt the user's own config folder replaces in the jobs."""
    if config_dir is None:
        return
    folder = expand_path(config_dir, "--config-dir ")
    notes = (
        note
        for job in jobs
        for note in replaced_options(job.config.to_mapping(), job.choices, folder)
    )
    for note in dict.fromkeys(notes):
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def print_git_trouble(console: Console) -> None:
    """Prints the reason if the state of the git checkout can't be recorded."""
    trouble = git_trouble(git_state(Path.cwd()))
    if trouble is not None:
        _log.info("%s", trouble)
        console.print(trouble, highlight=False, markup=False, soft_wrap=True)


def describe_outcome(record: RunRecord, directory: Path, seconds: float) -> list[str]:
    """Returns the lines that describe a finished run: duration, last values, best model.

    Args:
        record: The content of the run's run.json.
        directory: The run directory.
        seconds: The duration of the command in seconds, including its start and end.
    """
    final, best = record.final, record.best
    # A run that is FINISHED has all three.
    assert final is not None
    assert best is not None
    assert record.ended is not None
    began = record.resumed[-1].time if record.resumed else record.started
    training = format_seconds(record.ended - began)
    took = f"{format_seconds(seconds)} (training {training})"
    lines = [f"{record.status} after {final.step:,} steps in {took}"]
    if record.stopped:
        lines.append(f"stopped early: {record.stopped}")
    if best.step != final.step:
        lines.append(f"last  step {final.step:,}  {_values(final.values, 'val/')}")
    lines.append(
        f"{BEST_MARK} best  step {best.step:,}  {_values(best.values, 'val/')}  (by {best.watched})"
    )
    lines.append(f"{BEST_MARK} test  {_values(final.values, 'test/')}")
    model = os.path.relpath(directory / "model.keras")
    return [*lines, f"{BEST_MARK} model {model}"]


def describe_suggestion(record: RunRecord) -> str:
    """Returns the line with the result of a finished learning-rate range test.

    The command in it trains the config that was tested, with the suggested rate.

    Args:
        record: The content of the run's run.json.
    """
    assert record.final is not None
    rate = record.final.values.get(SUGGESTED_RATE)
    if rate is None:
        return (
            "no learning rate is suggested: the loss has not fallen at any rate, or the test was "
            "too short. Look at the image lr_finder/curve; debug=overfit shows whether the model "
            "can learn."
        )
    replaced = ("debug", "mode", _RATE_KEY)
    kept = [one for one in record.overrides if one.lstrip("+").partition("=")[0] not in replaced]
    command = shlex.join(["python", "-m", "expt.run", f"{_RATE_KEY}={rate:g}", *kept])
    return f"{BEST_MARK} learning rate {rate:g}: {command}"


def print_findings(console: Console, directory: Path) -> None:
    """Prints what the training doctor has found, one line each; nothing if there is no run."""
    if not (directory / RUN_FILE).exists():
        return
    for finding in read_run(directory).findings or ():
        line = f"! {finding.text}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        _log.info("doctor: %s: %s", finding.rule, line)


def _values(values: Mapping[str, Any], split: str) -> str:
    return "  ".join(
        f"{name} {format_value(value)}" for name, value in values.items() if name.startswith(split)
    )


def print_where_to_look(console: Console, output_dir: Path, jobs: Iterable[Job]) -> None:
    """Prints the command that starts TensorBoard and MLflow over the output folder.

    With `recorder=[]`, the jobs are not shown there, and nothing is printed.
    """
    if not any(job.config.recorder for job in jobs):
        return
    # With a path if a virtual environment is not activated, so that the line can be pasted.
    python, folder = Path(sys.executable), os.path.relpath(output_dir)
    on_path = str(python.parent) in os.environ.get("PATH", "").split(os.pathsep)
    program = python.name if on_path else os.path.relpath(python)
    options = [] if folder == "outputs" else [f"output_dir={folder}"]
    line = shlex.join([program, "-m", "expt.ui", *options])
    console.print(f"{line} starts TensorBoard and MLflow", highlight=False, soft_wrap=True)
