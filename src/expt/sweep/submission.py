"""Starts a new sweep from the command line, after all its jobs were composed and checked."""

import hashlib
from collections.abc import Sequence
from contextlib import closing

from expt.config.checks import check_trains
from expt.config.compose import Composition
from expt.config.hashes import run_hash
from expt.config.job import ComposedJob
from expt.config.sources import code_of
from expt.record.exits import exit_code, print_error
from expt.record.phases import Phases
from expt.runs.directories import create_directory
from expt.sweep.launchers import Launcher
from expt.sweep.search import Search, first_jobs
from expt.sweep.start import run_sweep, start_launcher
from expt.train.data_loading import DataLoader
from expt.train.messages import print_git_trouble, print_notes, print_replaced_options
from expt.train.recorders import check_recorders
from expt.train.start import chosen_directory, run_directory


def start_sweep(composition: Composition, phases: Phases) -> int:
    """Plans a new sweep and trains its jobs.

    Args:
        composition: The composition of the command line's arguments.
        phases: Shows the phases up to the first job; its console also shows the sweep.

    Returns:
        The exit code.

    Raises:
        UserError: The config or the data of a job is invalid. No job was started, and no files of
            the sweep are left behind.
    """
    load = DataLoader()
    overrides, search = first_jobs(composition, load)
    composing = composition.compose(overrides)
    first = next(composing)
    check_recorders([first.job])
    phases.begin("loading data")
    load(first.job)
    phases.begin(f"composing {len(overrides)} jobs")
    # Workers take seconds to import TensorFlow, so they start while the other jobs are composed.
    num_jobs = len(overrides) if search is None else None
    with closing(start_launcher(first.job, num_jobs, load.shared())) as launcher:
        jobs = [first, *composing]
        return _start(composition, jobs, load, launcher, phases, search)


def _start(
    composition: Composition,
    jobs: Sequence[ComposedJob],
    load: DataLoader,
    launcher: Launcher,
    phases: Phases,
    search: Search | None,
) -> int:
    """Checks all jobs and loads their data, and only then creates the directory and trains."""
    check_recorders(one.job for one in jobs)
    phases.begin("loading data")
    fingerprints, hashes, notes = [], [], dict[str, None]()
    for one in jobs:
        check_trains(one.job)
        dataset = load(one.job)
        notes |= dict.fromkeys(dataset.notes)
        fingerprints.append(dataset.fingerprint)
        code = code_of(one.job.config).hash
        hashes.append(run_hash(one.job.config, dataset.fingerprint, code))
    phases.end()
    console, output_dir = phases.console, jobs[0].job.output_dir
    print_replaced_options(console, [one.job for one in jobs], composition.config_dir)
    directory = chosen_directory(composition)
    is_chosen = directory is not None
    if directory is None:
        name = hashlib.sha256("".join(hashes).encode()).hexdigest()
        directory = create_directory(output_dir / "sweeps", name[:8])
    with run_directory(directory, [one.job for one in jobs], console, keep=is_chosen):
        print_git_trouble(console)
        print_notes(console, list(notes))
        try:
            return run_sweep(directory.absolute(), jobs, fingerprints, launcher, phases, search)
        except Exception as error:  # noqa: BLE001  printed here, above the paths of the records
            print_error(error)
            return exit_code(error)
