"""Resumes an interrupted run in place, or extends a finished one."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from expt.config.checks import check
from expt.config.frozen import read_frozen, with_overrides
from expt.config.full_keys import suggest_key
from expt.config.job import Job
from expt.config.sources import code_of
from expt.errors import UserError
from expt.record.log_files import LOG_FILE, log_to_file_and_stderr
from expt.record.phases import Phases
from expt.runs.changed_code import check_code, resume_note
from expt.runs.find import FoundRun
from expt.runs.liveness import is_alive
from expt.runs.recorded_data import check_unchanged
from expt.runs.records import RunRecord
from expt.runs.run import RESUMABLE_KEYS, PreviousRun, Status
from expt.train.data_loading import DataLoader
from expt.train.messages import print_code_note, print_where_to_look
from expt.train.recorders import Sinks
from expt.train.resume.checks import check_extension
from expt.train.start import train_here


def resume_run(
    run: FoundRun, overrides: Sequence[str], phases: Phases, *, allow_code_change: bool
) -> int:
    """Trains a run from its last checkpoint to its end.

    Args:
        run: The recorded run.
        overrides: Changes to the length of the run, such as `loop.epochs=50`.
        phases: Shows the phases up to training; its console shows the progress of training.
        allow_code_change: Whether the run may continue with changed code.

    Returns:
        The exit code of the process.

    Raises:
        UserError: The run can't be continued. Nothing has been changed.
    """
    run.check_record()
    _check_not_alive(run)
    job = read_frozen(run.directory, run.record.to_mapping())
    # The output folder may have been moved since the run began.
    if run.directory.is_relative_to(run.output_dir):
        job = replace(job, current_output_dir=run.output_dir)
    changed, previous = _with_overrides(job, run.record, overrides)
    # If not, it died after the end of training, while the sinks were being completed.
    was_closed = run.record.closed is not False
    if run.record.status is Status.FINISHED and was_closed and not previous.changes:
        phases.end()
        print(f"{_relative_path(run)} is finished; loop.epochs=… extends it")
        return 0
    console, sinks = phases.console, Sinks()
    check(changed)
    previous = replace(previous, allows_code_change=allow_code_change)
    modules = check_code(previous, code_of(changed.config), run.directory)
    print_code_note(console, resume_note(run.record, modules))
    with phases("loading data"):
        dataset = DataLoader()(changed)
        check_unchanged(run.record.data, dataset, _relative_path(run))
        check_extension(changed, dataset, run.directory, previous)
    log_to_file_and_stderr(run.directory / LOG_FILE)
    exit_code = train_here(changed, dataset, run.directory, sinks(changed), console, previous)
    sinks.stop()
    print_where_to_look(console, run.output_dir, [changed])
    return exit_code


def _check_not_alive(run: FoundRun) -> None:
    """Checks that no process is training a run.

    Raises:
        UserError: A process is, or may be on another host.
    """
    if run.record.status is not Status.RUNNING or is_alive(run.record) is False:
        return
    process = run.record.process
    if process is not None and is_alive(run.record):
        raise UserError(f"{_relative_path(run)} is being trained by process {process.id}.")
    host = "unknown" if process is None else process.host
    raise UserError(
        f"{_relative_path(run)} is RUNNING on the host {host}, whose processes can't be seen from "
        f"here. If its process has ended: python -m expt.sync {_relative_path(run)}"
    )


def _with_overrides(
    job: Job, record: RunRecord, overrides: Sequence[str]
) -> tuple[Job, PreviousRun]:
    """Returns the job as it is continued, and the record of the previous run with the changes.

    Raises:
        UserError: An override changes more than the length of the run.
    """
    before = job.config.flat()
    for override in overrides:
        key = override.partition("=")[0]
        if key not in RESUMABLE_KEYS:
            raise UserError(f"{override}: {_refusal(override, before)}")
    # A run of an older version may lack the key, and Hydra adds keys only with a `+`.
    known = [o if o.partition("=")[0] in before else f"+{o}" for o in overrides]
    changed, given = with_overrides(job, known)
    changes = {key: value for key, value in given.items() if before.get(key) != value}
    return changed, PreviousRun(record, changes, {k: before[k] for k in changes if k in before})


def _refusal(override: str, config: Mapping[str, Any]) -> str:
    key, _, value = override.partition("=")
    question = None if key in config or "." in key else suggest_key(key, value, config)
    if question is not None:
        return f"there is no such key. {question}"
    return (
        "a resumed run can't change what its steps do. Expected one of "
        f"{', '.join(RESUMABLE_KEYS)}. "
        f"To start a new run: python -m expt.run --rerun RUN {override}"
    )


def _relative_path(run: FoundRun) -> str:
    return os.path.relpath(run.directory)
