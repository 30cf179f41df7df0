"""What a resumed run continues from: its last checkpoint, checked against its config and data."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from expt.config.compose import Job
from expt.config.frozen import present_name
from expt.config.hashes import identity
from expt.config.instantiate import ACCUMULATION_KEY, HORIZON_KEY
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.record.journal import FILE_NAME, read_journal
from expt.runs.changed_code import known_hashes
from expt.runs.record_parts import Count, Part, Seconds
from expt.runs.records import wrong_place
from expt.runs.run import EXTENSIONS, Earlier
from expt.train.checkpoint import Checkpoint, newest_checkpoint
from expt.train.optimizer import make_schedule
from expt.train.resume.checks import (
    CHECKPOINTS,
    STOPPING,
    check_horizon,
    check_length,
    lengths,
    with_values,
)
from expt.train.state import State
from expt.train.timeline import Timeline, make_timeline

_log = logging.getLogger(__name__)
_ACCUMULATOR = "_gradient_accumulator"  # what Keras calls the variables of its own accumulation
_THREADS = "loop.threads"


class _Progress(Part):
    """How far training was; metrics may be infinite, or no numbers."""

    values: dict[str, float]
    reason: str | None = None


class _Stopping(Part):
    """The state of early stopping."""

    lowest_loss: float
    best: float | None = None
    without_improvement: Count
    seconds: Seconds


class _Facts(Part):
    """What a checkpoint holds besides its arrays."""

    best_step: Count | None = None
    identity: dict[str, Any]
    progress: _Progress
    best: dict[str, float]
    stopping: _Stopping


@dataclass(frozen=True)
class Resumption:
    """What a resumed run continues from.

    Attributes:
        job: As it is continued.
        dataset: Its data.
        earlier: What the previous process left.
        checkpoint: The state to continue from; None to begin anew.
    """

    job: Job
    dataset: Dataset
    earlier: Earlier
    checkpoint: Checkpoint | None

    @property
    def step(self) -> int:
        """The last step that is done."""
        return 0 if self.checkpoint is None else self.checkpoint.step

    def restore(self, state: State, timeline: Timeline) -> str | None:
        """Brings a new state to that of the checkpoint.

        Returns:
            A sentence on how the learning rate changes because the run's length has changed; None
            if it does not.

        Raises:
            UserError: The checkpoint is of another model, or there is nothing left to train.
        """
        if self.checkpoint is None:
            return None
        state.restore(self.checkpoint)
        if STOPPING & self.earlier.changes.keys():
            state.progress.reason = None
        check_length(timeline, self.step, state.progress.reason, self.earlier)
        return rate_change(self.job, self.dataset, self.earlier, self.step)


def last_checkpoint(job: Job, dataset: Dataset, directory: Path, earlier: Earlier) -> Resumption:
    """Returns what a run continues from.

    The code that it was written by is one that the run's record names; whether it may be another
    one now is decided by that record.

    Raises:
        UserError: What the run left is damaged or of something else.
    """
    journal, last_step = directory / FILE_NAME, 0
    if journal.exists():
        for record in read_journal(journal):  # damaged lines are told before anything is changed
            last_step = max(last_step, record["step"])
    checkpoint = newest_checkpoint(directory / CHECKPOINTS, last_step)
    if checkpoint is None:
        return Resumption(job, dataset, earlier, None)
    if any(name.endswith(_ACCUMULATOR) for name in checkpoint.arrays):
        raise UserError(
            f"{directory} was trained by an earlier version of expt, in which a step was one batch "
            f"and gradients were accumulated over optimizer.{ACCUMULATION_KEY} steps; now a step "
            "is one update. To train its config anew: python -m expt.run --rerun "
            f"{directory}"
        )
    try:
        _Facts.of(checkpoint.facts)
    except ValidationError as error:
        raise UserError(
            f"the checkpoint of step {checkpoint.step} in {directory} is damaged: "
            f"{wrong_place(error)!r} is missing or wrong. Without its file, the one before it is "
            "used."
        ) from error
    there = {key: present_name(value) for key, value in checkpoint.facts["identity"].items()}
    known = known_hashes(earlier.record)
    here = json.loads(json.dumps(identity(job.config, dataset.fingerprint, known[-1])))
    if there.get("code") in (None, *known):  # None: written before code was recorded
        here["code"] = there.get("code")
    if _THREADS not in there:
        there[_THREADS] = here[_THREADS]
        _log.warning(
            "the run began before %s was recorded. It continues with %s threads, by what its "
            "run.json says of the machine; if it had others, the last digits of its numbers are "
            "not those of a run that was never interrupted.",
            *(_THREADS, here[_THREADS]),
        )
    if isinstance(there.get("data"), str) and dataset.has_fingerprint(there["data"]):
        there["data"] = dataset.fingerprint  # older checkpoints have that of contents alone
    differing = [
        f"{key}: {there.get(key, 'missing')} in the checkpoint, {here.get(key, 'missing')} here"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key) and key not in EXTENSIONS
    ]
    if differing:
        raise UserError(
            f"the checkpoint of step {checkpoint.step} in {directory} is of another config: "
            f"{'; '.join(differing)}."
        )
    return Resumption(job, dataset, earlier, checkpoint)


def rate_change(job: Job, dataset: Dataset, earlier: Earlier, step: int) -> str | None:
    """Returns a sentence on how a longer or shorter run changes the learning rate.

    Args:
        job: As it is continued.
        dataset: Its data.
        earlier: What it was until now.
        step: The last step that is done.

    Returns:
        None if the rate is what it would have been, or the last one of the former schedule.

    Raises:
        UserError: The schedule would have a length that is neither the former one nor the run's.
    """
    check_horizon(job, dataset, earlier)
    jobs = with_values(job, earlier.previous), job
    totals = [make_timeline(each, dataset).total_steps for each in jobs]
    schedules = [make_schedule(*pair) for pair in zip(jobs, totals, strict=True)]
    former_length, length = lengths(job, dataset, earlier)
    is_driven = any(hasattr(schedule, "consider") for schedule in schedules)  # by validation
    if step == 0 or former_length == length or is_driven:
        return None
    former, expected = (_rate(schedules[0], min(s, totals[0] - 1)) for s in (step - 1, step))
    rate = _rate(schedules[1], step)
    if math.isclose(rate, expected, rel_tol=1e-5):
        return None
    return (
        f"schedule={job.choices.get('schedule', 'schedule')} now goes over {length:,} steps, "
        f"and no longer over {former_length:,}: the learning rate changes from {former:.4g} at "
        f"step {step:,} to {rate:.4g} at step {step + 1:,}. schedule.{HORIZON_KEY}={former_length} "
        "would keep the former schedule, and then its last rate."
    )


def _rate(schedule: Any, step: int) -> float:
    return float(schedule(step)) if callable(schedule) else float(schedule)
