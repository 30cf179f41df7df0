"""What the commands that train share: one job in this process, its log, and the last lines."""

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from expt.config.compose import Job
from expt.config.location import replaced_options
from expt.config.paths import expanded
from expt.errors import Terminated
from expt.parts.data.dataset import Dataset
from expt.record.console import BEST
from expt.record.exits import exit_code, print_error
from expt.record.phases import Phases, command_phases, lap_seconds
from expt.record.recorder import Recorder
from expt.record.streams import StderrHandler
from expt.record.values import format_seconds, format_value
from expt.runs.git import git_state, git_trouble
from expt.runs.run import Earlier
from expt.train.backend import start_for

LOG_FILE = "run.log"
_log = logging.getLogger(__name__)


def train_here(
    job: Job,
    dataset: Dataset,
    directory: Path,
    sinks: Sequence[Recorder],
    console: Console,
    earlier: Earlier | None = None,
) -> int:
    """Trains one job in this process; errors are told, not raised.

    Args:
        job: The frozen config; it must have been checked.
        dataset: Its data.
        directory: Where the run goes, or is.
        sinks: Where to record, beside the journal.
        console: Where to show how it goes.
        earlier: What is known of a run to be continued.

    Returns:
        The exit code that the outcome stands for.
    """
    command_phases().end()
    command_phases().start_log()
    if earlier is None:
        print_git_trouble(console)
    print_notes(console, dataset.notes)
    for note in dataset.notes:
        _log.info("data: %s", note)
    phases = Phases(console)
    try:
        with phases("starting TensorFlow", at_once=True):
            start_for(job.config)
            from expt.train.session import run_job

        record = run_job(job, dataset, directory, sinks, console, earlier)
    except (KeyboardInterrupt, Terminated):
        if (directory / "run.json").exists():
            where = shlex.quote(os.path.relpath(directory))
            line = f"To continue: python -m expt.resume {where}"
            console.print(line, highlight=False, soft_wrap=True)
        raise
    except Exception as error:  # noqa: BLE001  told at once; a sweep's other jobs go on
        print_error(error)
        return exit_code(error)
    for line in describe_outcome(record, directory, lap_seconds()):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return 0


def print_notes(console: Console, notes: Sequence[str]) -> None:
    """Prints what a user should know of how the data was read."""
    for note in notes:
        console.print(f"data: {note}", highlight=False, markup=False, soft_wrap=True)


def print_code_note(console: Console, note: str | None) -> None:
    """Prints what a user should know of how the code has changed, if it has."""
    if note is not None:
        console.print(f"code: {note}", highlight=False, markup=False, soft_wrap=True)
        _log.info("code: %s", note)


def print_replaced(console: Console, jobs: Sequence[Job], config_dir: str | None) -> None:
    """Prints which of the framework's options a user's own folder replaces in some jobs."""
    if config_dir is None:
        return
    folder = expanded(config_dir, "--config-dir ")
    notes = (
        note
        for job in jobs
        for note in replaced_options(job.config.to_mapping(), job.choices, folder)
    )
    for note in dict.fromkeys(notes):
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def print_git_trouble(console: Console) -> None:
    """Prints once why the state of the checkout, which there is, can't be recorded."""
    trouble = git_trouble(git_state(Path.cwd()))
    if trouble is not None:
        _log.info("%s", trouble)
        console.print(trouble, highlight=False, markup=False, soft_wrap=True)


def log_to(file: Path) -> None:
    """Sends log records to a file and warnings to stderr, as Hydra does for the runs it starts."""
    log_to_file(file)
    to_console = StderrHandler()
    to_console.setLevel(logging.WARNING)
    to_console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger().addHandler(to_console)


def log_to_file(file: Path) -> None:
    """Sends log records to a file alone."""
    to_file = logging.FileHandler(file, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file], force=True)


def describe_outcome(record: Mapping[str, Any], directory: Path, seconds: float) -> list[str]:
    """Returns lines on how a run came out: how long it took, its last values, its best model.

    Args:
        record: The content of its run.json.
        directory: Of the run.
        seconds: How long the command took, its start and end included.
    """
    final, best = record["final"], record["best"]
    began = record["resumed"][-1]["time"] if "resumed" in record else record["started"]
    training = format_seconds(record["ended"] - began)
    took = f"{format_seconds(seconds)} (training {training})"
    lines = [f"{record['status']} after {final['step']:,} steps in {took}"]
    if record["stopped"]:
        lines.append(f"stopped early: {record['stopped']}")
    if best["step"] != final["step"]:
        lines.append(f"last  step {final['step']:,}  {_values(final, 'val/')}")
    lines.append(
        f"{BEST} best  step {best['step']:,}  {_values(best, 'val/')}  (by {best['watched']})"
    )
    lines.append(f"{BEST} test  {_values(final, 'test/')}")
    model = os.path.relpath(directory / "model.keras")
    return [*lines, f"{BEST} model {model}"]


def _values(values: Mapping[str, Any], split: str) -> str:
    return "  ".join(
        f"{name} {format_value(value)}" for name, value in values.items() if name.startswith(split)
    )


def print_where_to_look(console: Console, output_dir: Path) -> None:
    """Prints the command that shows the records; it works whether or not Python is on the path."""
    python, folder = Path(sys.executable), os.path.relpath(output_dir)
    on_path = str(python.parent) in os.environ.get("PATH", "").split(os.pathsep)
    program = python.name if on_path else os.path.relpath(python)
    options = [] if folder == "outputs" else [f"output_dir={folder}"]
    line = shlex.join([program, "-m", "expt.ui", *options])
    console.print(f"{line} starts TensorBoard and MLflow", highlight=False, soft_wrap=True)
