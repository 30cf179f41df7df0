"""The plan of a verification: a shortened job in which every kind of event occurs several times."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from expt.config.cadence import Cadence
from expt.config.declarations import batches_per_step
from expt.config.job import Job
from expt.config.schema import Config, Mode
from expt.config.sources import code_of
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.train.timeline import Timeline, make_timeline

_FILE = "proof.yaml"
_STEPS = 24
_EVAL_EVERY = 5
# Options that end a training early. An early end would leave nothing to resume.
_ENDING = ("patience", "time_limit", "target_loss")


@dataclass(frozen=True)
class VerificationPlan:
    """The plan of a verification, shared by its processes.

    Attributes:
        job: The shortened job.
        fingerprint: The fingerprint of the whole data set.
        batches: The number of batches to which each split is cut, so that epochs are short.
        modules: The hash of each module that the job uses.
        interrupt_at: The step after which one of the trainings is interrupted.
        left_out: The keys of the user's config that the verification ignores.
    """

    job: Job
    fingerprint: str
    batches: int
    modules: dict[str, str]
    interrupt_at: int
    left_out: tuple[str, ...]

    @property
    def total_steps(self) -> int:
        """The number of steps of the whole training."""
        assert self.job.config.loop.steps is not None
        return self.job.config.loop.steps

    def write(self, folder: Path) -> None:
        """Writes the plan to a folder, from which the processes read it."""
        job = vars(self.job) | {"config": self.job.config.to_mapping()}
        text = yaml.safe_dump({**vars(self), "job": job})
        (folder / _FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "VerificationPlan":
        """Reads a plan that `write` has written."""
        written = yaml.safe_load((folder / _FILE).read_text(encoding="utf-8"))
        for fields, name in ((written, "left_out"), (written["job"], "overrides")):
            fields[name] = tuple(fields[name])  # YAML has lists only
        job = written["job"] | {"config": Config.from_mapping(written["job"]["config"])}
        return cls(**written | {"job": Job(**job)})


def make_plan(job: Job, dataset: Dataset, folder: Path) -> VerificationPlan:
    """Plans the verification of a job.

    The job is shortened to at most 24 steps on a part of the data, in which epochs, evaluations and
    checkpoints occur several times.

    Args:
        job: The user's job, already checked.
        dataset: The data set of the job.
        folder: The folder of the verification.

    Raises:
        UserError: The job has only one step, so that it can't be interrupted.
    """
    total = make_timeline(job, dataset).total_steps
    steps = min(total, _STEPS)
    if steps < 2:
        raise UserError(
            f"loop.steps={total}: expected at least 2 steps, one before and one after the "
            "interruption."
        )
    # An epoch has about two fifths of the steps, so that several epochs begin.
    batches = max(2, steps * 2 // 5) * batches_per_step(job.config)
    loop = replace(
        job.config.loop,
        steps=steps,
        eval_every=_eval_every(job.config.loop.eval_every, steps),
        save_every=1,
        image_every=None,
        profile=None,
        patience=None,
        time_limit=None,
        target_loss=None,
    )
    config = replace(
        job.config,
        mode=Mode.train,
        loop=loop,
        recorder={},
        hook={},
        output_dir=str(folder),
    )
    shortened_job = replace(job, config=config)
    timeline = make_timeline(shortened_job, dataset.limited(batches))
    return VerificationPlan(
        shortened_job,
        dataset.fingerprint,
        batches,
        dict(code_of(shortened_job.config).modules),
        _interruption(timeline),
        tuple(f"loop.{key}" for key in _ENDING if getattr(job.config.loop, key) is not None),
    )


def _eval_every(users: object, steps: int) -> int:
    """Returns the user's cadence if it is in steps and short enough, else a short one, in steps."""
    cadence, most = Cadence.parse(users), max(1, min(_EVAL_EVERY, steps // 4))
    if cadence.count is None or cadence.in_epochs:
        return most
    return min(cadence.count, most)


def _interruption(timeline: Timeline) -> int:
    """Draws the step after which to interrupt, with a generator seeded by the config's seed.

    As far as possible, the step is within an epoch, in the middle third, and without an evaluation.
    """
    # An interruption at the end of an epoch, or right after an evaluation, would be the easy case.
    steps = list(range(1, timeline.total_steps))
    third = timeline.total_steps / 3
    for condition in (
        lambda step: step % timeline.steps_per_epoch != 0,
        lambda step: third <= step <= 2 * third,
        lambda step: not timeline.evaluates_after(step),
    ):
        steps = [step for step in steps if condition(step)] or steps
    return random.Random(timeline.seed).choice(steps)  # noqa: S311  no secret depends on this
