"""Checks that a resumed run has steps left to train, without importing TensorFlow."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from expt.config.instantiate import HORIZON_KEY
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.journal import FILE_NAME, read_journal
from expt.runs.record_parts import Status
from expt.runs.records import RunRecord
from expt.runs.run import PreviousRun
from expt.train.checkpoint import DamagedError, checkpoint_files, read_checkpoint
from expt.train.timeline import Timeline, make_timeline

CHECKPOINTS = "checkpoints"
STOPPING = frozenset(("loop.patience", "loop.time_limit"))
"""The keys that stop a run early. A run that has stopped early continues only if one is changed."""


def check_extension(job: Job, dataset: Dataset, directory: Path, previous: PreviousRun) -> None:
    """Checks that the changes to a resumed run leave steps to train, according to its files.

    Args:
        job: The job as it is continued.
        dataset: The data set of the job.
        directory: The run directory.
        previous: The record of the previous run, and the changes to its config.

    Raises:
        UserError: No steps would be left, or the changes affect more than the run's length.
    """
    if not previous.changes:
        return
    check_horizon(job, dataset, previous)
    timeline, (step, reason) = make_timeline(job, dataset), _last_step(directory, previous.record)
    check_length(timeline, step, reason, previous)
    is_finished = previous.record.status is Status.FINISHED
    if is_finished and timeline.total_steps <= step:
        raise UserError(_too_short_message(timeline, step, previous, job.config.loop.steps))


def check_length(timeline: Timeline, step: int, reason: str | None, previous: PreviousRun) -> None:
    """Checks that a resumed run is not shorter than the steps done, and has no reason to stop.

    Args:
        timeline: The timeline of the run as it is continued.
        step: The number of finished steps.
        reason: Why training ended before its planned last step; None if it did not.
        previous: The record of the previous run, and the changes to its config.

    Raises:
        UserError: The run has stopped early and its changes do not concern that, or it has done
            more steps than planned now.
    """
    if previous.changes and reason is not None and not STOPPING & previous.changes.keys():
        raise UserError(
            f"{_changes_prefix(previous)}the run has stopped early: {reason}. Change that too: "
            "loop.patience=null or loop.time_limit=null."
        )
    if timeline.total_steps < step:
        steps = previous.changes.get("loop.steps")
        raise UserError(_too_short_message(timeline, step, previous, steps))


def check_horizon(job: Job, dataset: Dataset, previous: PreviousRun) -> None:
    """Checks that the schedule of a resumed run keeps its length or gets that of the whole run.

    Raises:
        UserError: The schedule gets another length.
    """
    # Any other length is a change of the training itself, which needs a new run.
    given, (former, _) = (
        previous.changes.get(f"schedule.{HORIZON_KEY}"),
        schedule_lengths(job, dataset, previous),
    )
    if given not in (None, former):
        raise UserError(
            f"schedule.{HORIZON_KEY}={given}: a resumed run can't change what its steps do. "
            f"Expected {former}, the former length of its schedule, or null for the length of the "
            "whole run."
        )


def schedule_lengths(job: Job, dataset: Dataset, previous: PreviousRun) -> tuple[int, int]:
    """Returns the length of a resumed run's schedule, in steps: the former one and the new one."""
    former, now = (
        each.config.schedule.get(HORIZON_KEY) or make_timeline(each, dataset).total_steps
        for each in (with_values(job, previous.previous), job)
    )
    return former, now


def with_values(job: Job, values: Mapping[str, Any]) -> Job:
    """Returns a job whose config has other values for some full keys."""
    return replace(job, config=job.config.with_values(values))


def _last_step(directory: Path, record: RunRecord) -> tuple[int, str | None]:
    """Returns the step that a run would continue from, and why it ended early, if it did."""
    # The same choice as in `newest_checkpoint`, but without warnings: training repeats it.
    if record.status is Status.FINISHED and record.final is not None:
        return record.final.step or 0, record.stopped
    journal, last_step = directory / FILE_NAME, 0
    if journal.exists():
        last_step = max((line["step"] for line in read_journal(journal)), default=0)
    for file in checkpoint_files(directory / CHECKPOINTS):
        try:
            checkpoint = read_checkpoint(file)
        except DamagedError:
            continue
        if checkpoint.step <= last_step:
            progress = checkpoint.facts.get("progress")
            return checkpoint.step, progress.get("reason") if isinstance(progress, dict) else None
    return 0, None


def _changes_prefix(previous: PreviousRun) -> str:
    """Returns the changes as the beginning of a message, or "" if there are none."""
    shown = [
        f"{key}={'null' if value is None else value}" for key, value in previous.changes.items()
    ]
    return f"{' '.join(shown)}: " if shown else ""


def _too_short_message(
    timeline: Timeline, step: int, previous: PreviousRun, steps: int | None
) -> str:
    one = timeline.steps_per_epoch
    by_epochs = f"loop.epochs={step // one + 1}"
    if steps is not None and "loop.epochs" in previous.changes:
        by_epochs = f"loop.steps=null {by_epochs}, since loop.steps={steps} wins over loop.epochs,"
    return (
        f"{_changes_prefix(previous)}the run has done {step:,} steps already, {step / one:.4g} "
        "epochs. "
        f"Expected more: at least {by_epochs} or loop.steps={step + 1}."
    )
