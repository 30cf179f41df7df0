"""What a run keeps so that it can be continued, and what a continued run begins from."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from pathlib import Path
from typing import Any

from expt.changed_code import known_hashes
from expt.config.compose import Job
from expt.config.hashes import identity
from expt.errors import Terminated, UserError
from expt.parts.data.dataset import Dataset
from expt.record.journal import FILE_NAME, read_journal
from expt.record.recorder import Background, Recorder
from expt.record.replay import IMAGES
from expt.record.run import EXTENSIONS, Earlier
from expt.runs.kinds import wrong_place
from expt.train.checkpoint import Checkpoint, CheckpointWriter, newest_checkpoint, to_disk
from expt.train.plan import Plan
from expt.train.state import Progress, State

CHECKPOINTS = "checkpoints"
# The kinds of what a checkpoint tells besides its arrays. Metrics may be infinite, or no numbers.
_FACTS: Mapping[str, Any] = {
    "best_step": (None, int),
    "identity": dict,
    "progress": {"values": {str: Real}, "reason": (None, str)},
    "best": {str: Real},
    "stopping": {
        "lowest_loss": Real,
        "best": (None, Real),
        "without_improvement": int,
        "seconds": float,
    },
}

MakeWriter = Callable[[Path, int, Callable[[], None]], CheckpointWriter]
"""Makes what writes a run's checkpoints; its arguments are those of `CheckpointWriter`."""


def last_checkpoint(
    job: Job, dataset: Dataset, directory: Path, earlier: Earlier
) -> Checkpoint | None:
    """Returns the checkpoint to continue from; None to begin anew.

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
        return None
    wrong = wrong_place(checkpoint.facts, _FACTS)
    if wrong is not None:
        raise UserError(
            f"the checkpoint of step {checkpoint.step} in {directory} is damaged: {wrong!r} is "
            "missing or wrong. Without its file, the one before it is used."
        )
    there, known = checkpoint.facts["identity"], known_hashes(earlier.record)
    here = json.loads(json.dumps(identity(job.config, dataset.fingerprint, known[-1])))
    if there.get("code") in (None, *known):  # None: written before code was recorded
        here["code"] = there.get("code")
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
    return checkpoint


def let_go_on(progress: Progress, plan: Plan, earlier: Earlier) -> None:
    """Lets a run that ended for a reason go on if what that was is changed now.

    Raises:
        UserError: There is nothing to go on for.
    """
    if {"loop.patience", "loop.time_limit"} & earlier.changes.keys():
        progress.reason = None
    if earlier.changes and progress.reason is not None:
        raise UserError(
            f"the run has stopped early: {progress.reason}. Change that too: loop.patience=null "
            "or loop.time_limit=null."
        )
    if plan.total_steps < progress.step:
        raise UserError(
            f"the run has done {progress.step} steps already; expected more of loop.epochs "
            f"(one is {plan.steps_per_epoch} steps) or loop.steps."
        )


@contextmanager
def checkpoints(
    job: Job,
    dataset: Dataset,
    directory: Path,
    state: State,
    sinks: Sequence[Recorder],
    make_writer: MakeWriter,
    code: str,
) -> Iterator[Callable[[], None]]:
    """Yields the function that saves the state; saves it at the end and when interrupted, too.

    The state is copied when the writer is due, and at the best step so far, whose file is kept.
    What is made only before a checkpoint must be safe when that is: the journal, and pictures.
    """

    def prepare() -> None:
        for sink in sinks:
            if isinstance(sink, Background) and sink.name == IMAGES:
                sink.drain()
        to_disk(directory / FILE_NAME)

    folder, keep = directory / CHECKPOINTS, job.config["loop"]["keep_checkpoints"]
    writer = make_writer(folder, keep, prepare)
    of_run = identity(job.config, dataset.fingerprint, code)
    saved = 0

    def save() -> None:
        nonlocal saved
        if state.progress.step != saved:
            saved = state.progress.step
            writer.write(state.checkpoint(of_run))

    def save_if_due() -> None:
        if writer.is_due() or state.best.step == state.progress.step:
            save()

    try:
        yield save_if_due
        save()
        writer.flush()
    except (KeyboardInterrupt, Terminated):
        save()
        writer.flush()
        raise
    finally:
        writer.close()
