"""Whether a resumed run has steps left to train; without TensorFlow."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from expt.config.compose import Job
from expt.config.instantiate import HORIZON_KEY
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.journal import FILE_NAME, read_journal
from expt.runs.record_parts import Status
from expt.runs.records import RunRecord
from expt.runs.run import Earlier
from expt.train.checkpoint import DamagedError, checkpoint_files, read_checkpoint
from expt.train.timeline import Timeline, make_timeline

CHECKPOINTS = "checkpoints"
STOPPING = frozenset(("loop.patience", "loop.time_limit"))
"""What stops a run early; once it is changed, the run can continue."""


def check_extension(job: Job, dataset: Dataset, directory: Path, earlier: Earlier) -> None:
    """Checks the changes to a resumed run against the steps that its files say are done.

    Args:
        job: As it is continued.
        dataset: Its data.
        directory: The run's.
        earlier: What it was until now.

    Raises:
        UserError: Nothing would be trained, or the changes are of something else than its length.
    """
    if not earlier.changes:
        return
    check_horizon(job, dataset, earlier)
    timeline, (step, reason) = make_timeline(job, dataset), _done(directory, earlier.record)
    check_length(timeline, step, reason, earlier)
    is_finished = earlier.record.status is Status.FINISHED
    if is_finished and timeline.total_steps <= step:
        raise UserError(_too_short(timeline, step, earlier, job.config.loop.steps))


def check_length(timeline: Timeline, step: int, reason: str | None, earlier: Earlier) -> None:
    """Checks that a run's length and its reason to stop early leave room for what is done.

    Args:
        timeline: Of the run as it is continued.
        step: The last step that is done.
        reason: Why training ended before its plan did; None if it did not.
        earlier: What the run was until now.

    Raises:
        UserError: They do not.
    """
    if earlier.changes and reason is not None and not STOPPING & earlier.changes.keys():
        raise UserError(
            f"{_given(earlier)}the run has stopped early: {reason}. Change that too: "
            "loop.patience=null or loop.time_limit=null."
        )
    if timeline.total_steps < step:
        raise UserError(_too_short(timeline, step, earlier, earlier.changes.get("loop.steps")))


def check_horizon(job: Job, dataset: Dataset, earlier: Earlier) -> None:
    """Checks that a schedule keeps its former length or gets that of the whole run.

    Raises:
        UserError: It gets another one.
    """
    given, (former, _) = (
        earlier.changes.get(f"schedule.{HORIZON_KEY}"),
        lengths(job, dataset, earlier),
    )
    if given not in (None, former):
        raise UserError(
            f"schedule.{HORIZON_KEY}={given}: a resumed run can't change what its steps do. "
            f"Expected {former}, the former length of its schedule, or null, the whole run's."
        )


def lengths(job: Job, dataset: Dataset, earlier: Earlier) -> tuple[int, int]:
    """Returns over how many steps the schedule of a resumed run went until now, and will go."""
    former, now = (
        each.config.schedule.get(HORIZON_KEY) or make_timeline(each, dataset).total_steps
        for each in (with_values(job, earlier.previous), job)
    )
    return former, now


def with_values(job: Job, values: Mapping[str, Any]) -> Job:
    """Returns a job with other values of some full keys."""
    return replace(job, config=job.config.with_values(values))


def _done(directory: Path, record: RunRecord) -> tuple[int, str | None]:
    """Returns the last step that a run's files have, and why training ended early, if it did."""
    if record.status is Status.FINISHED and record.final is not None:
        return record.final.step or 0, record.stopped
    journal, last_step = directory / FILE_NAME, 0
    if journal.exists():
        last_step = max((line["step"] for line in read_journal(journal)), default=0)
    for file in checkpoint_files(directory / CHECKPOINTS):
        try:
            checkpoint = read_checkpoint(file)
        except DamagedError:
            continue  # a warning when it is restored
        if checkpoint.step <= last_step:
            progress = checkpoint.facts.get("progress")
            return checkpoint.step, progress.get("reason") if isinstance(progress, dict) else None
    return 0, None


def _given(earlier: Earlier) -> str:
    shown = [
        f"{key}={'null' if value is None else value}" for key, value in earlier.changes.items()
    ]
    return f"{' '.join(shown)}: " if shown else ""


def _too_short(timeline: Timeline, step: int, earlier: Earlier, steps: int | None) -> str:
    one = timeline.steps_per_epoch
    by_epochs = f"loop.epochs={step // one + 1}"
    if steps is not None and "loop.epochs" in earlier.changes:
        by_epochs = f"loop.steps=null {by_epochs}, since loop.steps={steps} wins over loop.epochs,"
    return (
        f"{_given(earlier)}the run has done {step:,} steps already, {step / one:.4g} epochs. "
        f"Expected more: at least {by_epochs} or loop.steps={step + 1}."
    )
