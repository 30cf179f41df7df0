"""Resumes an interrupted run in place, or extends a finished one."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from expt.config.checks import check
from expt.config.compose import Job
from expt.config.frozen import read_frozen, with_overrides
from expt.config.full_keys import meant
from expt.config.sources import code_of
from expt.errors import UserError
from expt.record.log_files import LOG_FILE, log_to
from expt.record.phases import Phases
from expt.runs.changed_code import check_code, resume_note
from expt.runs.find import FoundRun
from expt.runs.liveness import is_alive
from expt.runs.recorded_data import check_unchanged
from expt.runs.records import RunRecord
from expt.runs.run import EXTENSIONS, Earlier, Status
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
        overrides: Of how long it trains.
        phases: Shown until training starts; progress is shown on their console.
        allow_code_change: Whether it may continue with other code.

    Returns:
        The exit code.

    Raises:
        UserError: The run can't be continued; nothing has changed.
    """
    run.check_record()
    _refuse_alive(run)
    job = read_frozen(run.directory, run.record)
    if run.directory.is_relative_to(run.output_dir):
        job = replace(job, moved_to=run.output_dir)
    changed, earlier = _changed(job, run.record, overrides)
    was_closed = run.record.get("closed") is not False  # else it died while sinks took the rest
    if run.record["status"] == Status.FINISHED and was_closed and not earlier.changes:
        phases.end()
        print(f"{_shown(run)} is finished; loop.epochs=… extends it")
        return 0
    console, sinks = phases.console, Sinks()
    check(changed)
    earlier = replace(earlier, allows_code_change=allow_code_change)
    modules = check_code(earlier, code_of(changed.config), run.directory)
    print_code_note(console, resume_note(run.record, modules))
    with phases("loading data"):
        dataset = DataLoader()(changed)
        check_unchanged(run.record.data, dataset, _shown(run))
        check_extension(changed, dataset, run.directory, earlier)
    log_to(run.directory / LOG_FILE)
    exit_code = train_here(changed, dataset, run.directory, sinks(changed), console, earlier)
    sinks.stop()
    print_where_to_look(console, run.output_dir)
    return exit_code


def _refuse_alive(run: FoundRun) -> None:
    if run.record["status"] != Status.RUNNING or is_alive(run.record) is False:
        return
    process = run.record.get("process", {})
    if is_alive(run.record):
        raise UserError(f"{_shown(run)} is being trained by process {process['id']}.")
    raise UserError(
        f"{_shown(run)} is RUNNING on the host {process.get('host', 'unknown')}, and whether it "
        f"still is can't be told from here. If it is not: python -m expt.sync {_shown(run)}"
    )


def _changed(job: Job, record: RunRecord, overrides: Sequence[str]) -> tuple[Job, Earlier]:
    """Returns the job as it is continued, and what is known of it until now."""
    before = job.config.flat()
    for override in overrides:
        key = override.partition("=")[0]
        if key not in EXTENSIONS:
            raise UserError(f"{override}: {_refused(override, before)}")
    # A run that was recorded before a key was introduced lacks it.
    known = [o if o.partition("=")[0] in before else f"+{o}" for o in overrides]
    changed, given = with_overrides(job, known)
    changes = {key: value for key, value in given.items() if before.get(key) != value}
    return changed, Earlier(record, changes, {k: before[k] for k in changes if k in before})


def _refused(override: str, config: Mapping[str, Any]) -> str:
    key, _, value = override.partition("=")
    question = None if key in config or "." in key else meant(key, value, config)
    if question is not None:
        return f"there is no such key. {question}"
    return (
        f"a resumed run can't change what its steps do. Expected one of {', '.join(EXTENSIONS)}; "
        f"python -m expt.run --rerun RUN {override} begins a new run."
    )


def _shown(run: FoundRun) -> str:
    return os.path.relpath(run.directory)
