"""A config shortened to what a proof needs: every kind of event, several times, in few steps."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from expt.config.cadence import Cadence
from expt.config.compose import Job
from expt.config.declarations import batches_per_step
from expt.config.schema import Config
from expt.config.sources import code_of
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.timeline import Timeline, make_timeline

_FILE = "proof.yaml"
_STEPS = 24
_EVAL_EVERY = 5
_ENDING = ("patience", "time_limit", "target_loss")


@dataclass(frozen=True)
class Proof:
    """What the processes of a proof do.

    Attributes:
        job: The user's, shortened.
        fingerprint: Of the user's whole data.
        batches: To how many batches of examples each split is cut, so that an epoch is short.
        modules: The hash of each module that the job runs.
        interrupt_at: After which step one of the processes is interrupted.
        left_out: Keys of the user's config that are not in effect.
    """

    job: Job
    fingerprint: str
    batches: int
    modules: dict[str, str]
    interrupt_at: int
    left_out: tuple[str, ...]

    @property
    def total_steps(self) -> int:
        """The steps of a whole training."""
        assert self.job.config.loop.steps is not None
        return self.job.config.loop.steps

    def write(self, folder: Path) -> None:
        """Writes the proof for the processes."""
        job = vars(self.job) | {"config": self.job.config.to_mapping()}
        text = yaml.safe_dump({**vars(self), "job": job})
        (folder / _FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Proof":
        """Reads what `write` wrote."""
        written = yaml.safe_load((folder / _FILE).read_text(encoding="utf-8"))
        for fields, name in ((written, "left_out"), (written["job"], "overrides")):
            fields[name] = tuple(fields[name])  # YAML has lists alone
        job = written["job"] | {"config": Config.from_mapping(written["job"]["config"])}
        return cls(**written | {"job": Job(**job)})


def make_proof(job: Job, dataset: Dataset, folder: Path) -> Proof:
    """Shortens a job.

    Epochs, evaluations and checkpoints come several times within its steps.

    Args:
        job: The user's; it must have been checked.
        dataset: Its data.
        folder: Where the runs go.

    Raises:
        UserError: The job has a single step, so there is none to be interrupted after.
    """
    total = make_timeline(job, dataset).total_steps
    steps = min(total, _STEPS)
    if steps < 2:
        raise UserError(f"loop.steps={total}: expected at least 2, one before an interruption.")
    batches = max(2, steps * 2 // 5) * batches_per_step(job.config)
    loop = replace(
        job.config.loop,
        steps=steps,
        eval_every=_eval_every(job.config.loop.eval_every, steps),
        save_every=1,
        image_every=None,
        profile=None,
        patience=None,  # nothing may end it before its last step
        time_limit=None,
        target_loss=None,
    )
    config = replace(job.config, loop=loop, recorder={}, hook={}, output_dir=str(folder))
    shortened_job = replace(job, config=config)
    timeline = make_timeline(shortened_job, dataset.limited(batches))
    return Proof(
        shortened_job,
        dataset.fingerprint,
        batches,
        dict(code_of(shortened_job.config).modules),
        _interruption(timeline),
        tuple(f"loop.{key}" for key in _ENDING if getattr(job.config.loop, key) is not None),
    )


def _eval_every(users: object, steps: int) -> int:
    """The user's cadence if it is in steps and more frequent."""
    cadence, most = Cadence.parse(users), max(1, min(_EVAL_EVERY, steps // 4))
    if cadence.count is None or cadence.in_epochs:
        return most
    return min(cadence.count, most)


def _interruption(timeline: Timeline) -> int:
    """Draws the step: as far as there is one in the middle, and in mid-epoch."""
    steps = list(range(1, timeline.total_steps))
    third = timeline.total_steps / 3
    for condition in (
        lambda step: step % timeline.steps_per_epoch != 0,
        lambda step: third <= step <= 2 * third,
        lambda step: not timeline.evaluates_after(step),
    ):
        steps = [step for step in steps if condition(step)] or steps
    return random.Random(timeline.seed).choice(steps)  # noqa: S311  no secret depends on it
