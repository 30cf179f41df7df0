"""Restores a run from its last checkpoint, after checking it against the config and the data."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from expt.config.frozen import current_name
from expt.config.hashes import identity
from expt.config.instantiate import ACCUMULATION_KEY, HORIZON_KEY
from expt.config.job import Job
from expt.config.schema import Mode
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.journal import FILE_NAME, read_journal
from expt.runs.changed_code import known_hashes
from expt.runs.damaged import invalid_field
from expt.runs.record_base import Count, Part, Seconds
from expt.runs.run import RESUMABLE_KEYS, PreviousRun
from expt.train.checkpoint import Checkpoint, newest_checkpoint
from expt.train.optimizer import make_schedule
from expt.train.resume.checks import (
    CHECKPOINTS,
    STOPPING,
    check_horizon,
    check_length,
    schedule_lengths,
    with_values,
)
from expt.train.state import State
from expt.train.timeline import Timeline, make_timeline

_log = logging.getLogger(__name__)
# The suffix of the variables of Keras' own accumulation, which older versions of expt used.
_ACCUMULATOR = "_gradient_accumulator"
_THREADS = "loop.threads"


class _Progress(Part):
    """The progress of training; metrics may be infinite or NaN."""

    values: dict[str, float]
    reason: str | None = None


class _Stopping(Part):
    """The state of early stopping."""

    lowest_loss: float
    best: float | None = None
    without_improvement: Count
    seconds: Seconds


class _Facts(Part):
    """The contents of a checkpoint besides its arrays."""

    best_step: Count | None = None
    identity: dict[str, Any]
    progress: _Progress
    best: dict[str, float]
    stopping: _Stopping


@dataclass(frozen=True)
class Resumption:
    """The point from which a resumed run continues.

    Attributes:
        job: The job as it is continued.
        dataset: The data set of the job.
        previous: The record of the previous run, and the changes to its config.
        checkpoint: The checkpoint to restore; None to start from the beginning.
    """

    job: Job
    dataset: Dataset
    previous: PreviousRun
    checkpoint: Checkpoint | None

    @property
    def step(self) -> int:
        """The number of finished steps."""
        return 0 if self.checkpoint is None else self.checkpoint.step

    def restore(self, state: State, timeline: Timeline) -> str | None:
        """Restores the checkpoint.

        Args:
            state: A new state, which is changed to that of the checkpoint.
            timeline: The timeline of the run as it is continued.

        Returns:
            A note on how the learning rate changes because the run's length has changed; None if
            it does not.

        Raises:
            UserError: The checkpoint is of another model, or no steps are left to train.
        """
        if self.checkpoint is None:
            return None
        state.restore(self.checkpoint)
        # With other limits, the reason to stop may not hold any more; training finds out.
        if STOPPING & self.previous.changes.keys():
            state.progress.reason = None
        check_length(timeline, self.step, state.progress.reason, self.previous)
        return describe_rate_change(self.job, self.dataset, self.previous, self.step)


def last_checkpoint(
    job: Job, dataset: Dataset, directory: Path, previous: PreviousRun
) -> Resumption:
    """Finds the newest intact checkpoint of a run, and checks it against the config and the data.

    Args:
        job: The job as it is continued.
        dataset: The data set of the job.
        directory: The run directory.
        previous: The record of the previous run, and the changes to its config.

    Raises:
        UserError: The journal or the checkpoint is damaged, or of another config.
    """
    journal, last_step = directory / FILE_NAME, 0
    if journal.exists():
        # All lines are read here, so that a damaged one is reported before anything is changed.
        for record in read_journal(journal):
            last_step = max(last_step, record["step"])
    checkpoint = newest_checkpoint(directory / CHECKPOINTS, last_step)
    if checkpoint is None:
        return Resumption(job, dataset, previous, None)
    if any(name.endswith(_ACCUMULATOR) for name in checkpoint.arrays):
        raise UserError(
            f"{directory} was trained by an older version of expt, in which a step was one batch "
            f"and gradients were accumulated over optimizer.{ACCUMULATION_KEY} steps; now a step "
            "is one update. To train its config in a new run: python -m expt.run --rerun "
            f"{directory}"
        )
    try:
        _Facts.of(checkpoint.facts)
    except ValidationError as error:
        raise UserError(
            f"the checkpoint of step {checkpoint.step} in {directory} is damaged: "
            f"{invalid_field(error)!r} is missing or wrong. To use the checkpoint before it, "
            "remove its file."
        ) from error
    there = {key: current_name(value) for key, value in checkpoint.facts["identity"].items()}
    known = known_hashes(previous.record)
    # Through JSON, as the checkpoint's was, so that tuples compare as lists.
    here = json.loads(json.dumps(identity(job.config, dataset.fingerprint, known[-1])))
    # The checkpoint may be of any code that the run has had (None: of a version that did not
    # record it). `check_code` has decided whether the run may continue with the present code.
    if there.get("code") in (None, *known):
        here["code"] = there.get("code")
    there.setdefault("mode", Mode.train.value)  # older checkpoints are of training
    if _THREADS not in there:
        there[_THREADS] = here[_THREADS]
        _log.warning(
            "the run began before %s was recorded. It continues with %s threads, according to the "
            "machine in its run.json. If it had another number, its results differ in the last "
            "digits from those of a run without interruption.",
            *(_THREADS, here[_THREADS]),
        )
    if isinstance(there.get("data"), str) and dataset.has_fingerprint(there["data"]):
        # Older checkpoints have a fingerprint of the contents alone, without the names.
        there["data"] = dataset.fingerprint
    differing = [
        f"{key}: {there.get(key, 'missing')} in the checkpoint, {here.get(key, 'missing')} here"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key) and key not in RESUMABLE_KEYS
    ]
    if differing:
        raise UserError(
            f"the checkpoint of step {checkpoint.step} in {directory} is of another config: "
            f"{'; '.join(differing)}."
        )
    return Resumption(job, dataset, previous, checkpoint)


def describe_rate_change(
    job: Job, dataset: Dataset, previous: PreviousRun, step: int
) -> str | None:
    """Returns a note on how a longer or shorter run changes the learning rate.

    Args:
        job: The job as it is continued.
        dataset: The data set of the job.
        previous: The record of the previous run, and the changes to its config.
        step: The number of finished steps.

    Returns:
        The note; None if the next step has the same rate as in the former schedule, or its last
        rate.

    Raises:
        UserError: The schedule gets a length that is neither the former one nor that of the run.
    """
    check_horizon(job, dataset, previous)
    jobs = with_values(job, previous.previous), job
    totals = [make_timeline(each, dataset).total_steps for each in jobs]
    schedules = [make_schedule(*pair) for pair in zip(jobs, totals, strict=True)]
    former_length, length = schedule_lengths(job, dataset, previous)
    # A schedule that depends on validation has no length.
    is_driven = any(hasattr(schedule, "consider") for schedule in schedules)
    if step == 0 or former_length == length or is_driven:
        return None
    former, expected = (_rate(schedules[0], min(s, totals[0] - 1)) for s in (step - 1, step))
    rate = _rate(schedules[1], step)
    if math.isclose(rate, expected, rel_tol=1e-5):
        return None
    return (
        f"schedule={job.choices.get('schedule', 'schedule')} now has {length:,} steps instead of "
        f"{former_length:,}: the learning rate changes from {former:.4g} at step {step:,} to "
        f"{rate:.4g} at step {step + 1:,}. To keep the former schedule, and then its last rate: "
        f"schedule.{HORIZON_KEY}={former_length}"
    )


def _rate(schedule: Any, step: int) -> float:
    return float(schedule(step)) if callable(schedule) else float(schedule)
