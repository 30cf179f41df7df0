"""Starts training in this process: a new run, or a rerun of a recorded one."""

import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from expt.config.compose import Composition
from expt.config.frozen import read_frozen, with_overrides, write_frozen
from expt.config.hashes import run_hash
from expt.config.hydra_job import hydra_job
from expt.config.job import Job
from expt.config.paths import expand_path
from expt.config.schema import Mode
from expt.config.sources import code_of
from expt.errors import Terminated, UserError
from expt.parts.data.dataset import Dataset
from expt.record.exits import exit_code, print_error
from expt.record.log_files import LOG_FILE, log_to_file_and_stderr
from expt.record.phases import Phases, command_phases, lap_seconds
from expt.record.recorder import Recorder
from expt.runs.changed_code import rerun_note
from expt.runs.directories import create_directory, remove_directory
from expt.runs.find import FoundRun
from expt.runs.records import SWEEP_FILE
from expt.runs.run import PreviousRun
from expt.train.backend import start_for
from expt.train.data_loading import DataLoader
from expt.train.messages import (
    describe_outcome,
    describe_suggestion,
    print_code_note,
    print_findings,
    print_git_trouble,
    print_notes,
    print_replaced_options,
    print_where_to_look,
)
from expt.train.recorders import Sinks

_log = logging.getLogger(__name__)


def start_run(composition: Composition, phases: Phases) -> int:
    """Trains a new run.

    Args:
        composition: The config and options of the command line.
        phases: Shows the phases up to training; its console shows the progress of training.

    Returns:
        The exit code of the process.

    Raises:
        UserError: The config or the data is invalid. No files are left behind.
    """
    composed, sinks = composition.first_job(), Sinks()
    job = composed.job
    phases.begin("loading data")
    # The data is loaded before a directory exists: the fingerprint of the data is part of the
    # directory's name, and invalid data must leave nothing behind.
    dataset, code = DataLoader()(job), code_of(job.config)
    phases.end()
    print_replaced_options(phases.console, [job], composition.config_dir)
    if not job.config.mode.trains:
        return _inspect(job, dataset, phases)
    directory = chosen_directory(composition)
    is_chosen = directory is not None
    if directory is None:
        name = run_hash(job.config, dataset.fingerprint, code.hash)
        directory = create_directory(job.output_dir / "runs", name[:8])
    with run_directory(directory, [job], phases.console, keep=is_chosen):
        directory.mkdir(parents=True, exist_ok=True)
        with hydra_job(composed, composition.hydra, directory):
            code_number = train_here(job, dataset, directory, sinks(job), phases.console)
        # Not in a `finally`: after an interruption the run is closed already, and a second Ctrl-C
        # must end the process at once.
        sinks.stop()
    return code_number


def start_rerun(
    found: FoundRun, overrides: Sequence[str], config_dir: str | None, phases: Phases
) -> int:
    """Trains the frozen config of a recorded run as a new run.

    Values without an override come from the record, not from the current `conf/`.

    Args:
        found: The recorded run.
        overrides: Changes to its config.
        config_dir: The user's `conf/` folder, if any; overrides can choose its options.
        phases: As for `start_run`.

    Returns:
        The exit code of the process.

    Raises:
        UserError: As for `start_run`, or the record is damaged.
    """
    found.check_record()
    frozen, sinks = read_frozen(found.directory, found.record.to_mapping()), Sinks()
    is_chosen = any(override.startswith("output_dir=") for override in overrides)
    if Path(frozen.config.output_dir).is_absolute() and not is_chosen:
        # A recorded absolute path is wrong once the output folder has been moved or copied.
        frozen = replace(frozen, current_output_dir=found.output_dir)
    job, _ = with_overrides(frozen, overrides, config_dir)
    phases.begin("loading data")
    dataset, code = DataLoader()(job), code_of(job.config)
    phases.end()
    print_replaced_options(phases.console, [job], config_dir)
    if not job.config.mode.trains:
        return _inspect(job, dataset, phases)
    name = run_hash(job.config, dataset.fingerprint, code.hash)
    directory = create_directory(job.output_dir / "runs", name[:8])
    with run_directory(directory, [job], phases.console, keep=False):
        write_frozen(directory, job, found.directory)
        log_to_file_and_stderr(directory / LOG_FILE)
        print_code_note(phases.console, rerun_note(found.record, code))
        code_number = train_here(job, dataset, directory, sinks(job), phases.console)
        sinks.stop()
    return code_number


def _inspect(job: Job, dataset: Dataset, phases: Phases) -> int:
    """Checks the gradients or draws the schedule of a config, which is not trained.

    Returns:
        The exit code of the process.
    """
    print_notes(phases.console, dataset.notes)
    with phases("starting TensorFlow", at_once=True):
        start_for(job.config)
        # Imported here, since both import TensorFlow.
        from expt.train.gradient_report import report_gradients
        from expt.train.schedule_figure import save_schedule
    if job.config.mode is Mode.gradients:
        return report_gradients(job, dataset, phases)
    return save_schedule(job, dataset, phases.console)


def chosen_directory(composition: Composition) -> Path | None:
    """Returns the directory that the user chose with `hydra.run.dir` or `hydra.sweep.dir`, if any.

    Raises:
        UserError: The directory already contains a run or a sweep.
    """
    kind = "sweep" if composition.is_sweep else "run"
    key = f"hydra.{kind}.dir"
    if not any(override.startswith(f"{key}=") for override in composition.overrides):
        return None
    directory = expand_path(composition.hydra[kind].dir, f"{key}=")
    # Subfolders are searched too, since the runs of a sweep are below the sweep's directory.
    if (directory / SWEEP_FILE).exists() or any(directory.rglob("run.json")):
        raise UserError(
            f"{directory} already contains a run or a sweep, and each needs a separate directory. "
            f"Choose another directory, or leave out {key} to let expt choose one."
        )
    return directory


@contextmanager
def run_directory(
    directory: Path, jobs: Sequence[Job], console: Console, *, keep: bool
) -> Iterator[None]:
    """Prints where the records are at the end, or removes the directory if no run has begun.

    Args:
        directory: The directory of a run or a sweep.
        jobs: The job of the run, or the jobs of the sweep; at least one.
        console: Prints the lines.
        keep: Whether to keep the directory even if no run has begun; True if the user chose it.
    """
    output_dir = jobs[0].output_dir
    try:
        yield
    finally:
        if any(directory.rglob("run.json")):
            print_where_to_look(console, output_dir, jobs)
        elif not keep and not (directory / SWEEP_FILE).exists():
            remove_directory(directory, root=output_dir)


def train_here(
    job: Job,
    dataset: Dataset,
    directory: Path,
    sinks: Sequence[Recorder],
    console: Console,
    previous: PreviousRun | None = None,
) -> int:
    """Trains one job in this process; errors are printed, not raised.

    Args:
        job: The job, with its frozen config; it must have been checked.
        dataset: The data set of the job.
        directory: The run directory.
        sinks: The recorders in addition to the journal and the console.
        console: Shows progress.
        previous: The record of the previous run, if it is to be continued; None for a new run.

    Returns:
        The exit code of the process.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
        Terminated: SIGTERM arrived.
    """
    command_phases().end()
    command_phases().start_log()
    if previous is None:
        print_git_trouble(console)
    print_notes(console, dataset.notes)
    for note in dataset.notes:
        _log.info("data: %s", note)
    phases = Phases(console)
    try:
        with phases("starting TensorFlow", at_once=True):
            start_for(job.config)
            # Imported here, since it imports TensorFlow, which takes 3 to 6 s. Errors in the config
            # and the data have been reported before.
            from expt.train.session import Session

        record = Session(job, dataset, directory, sinks, console, previous).run()
    except (KeyboardInterrupt, Terminated):
        if (directory / "run.json").exists():
            where = shlex.quote(os.path.relpath(directory))
            line = f"To continue: python -m expt.resume {where}"
            console.print(line, highlight=False, soft_wrap=True)
        raise
    # A run that had begun is recorded as FAILED already, so only the message is missing.
    except Exception as error:  # noqa: BLE001
        print_error(error)
        print_findings(console, directory)
        return exit_code(error)
    lines = describe_outcome(record, directory, lap_seconds())
    if job.config.mode is Mode.lr_finder:
        lines.append(describe_suggestion(record))
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    print_findings(console, directory)
    return 0
