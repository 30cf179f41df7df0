"""The timeline of a run: its steps, its epochs, and when something is due."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.config.compose import Job
from expt.config.declarations import batches_per_step
from expt.parts.data.dataset import Dataset
from expt.train.input.order import batch_indices


@dataclass(frozen=True)
class Timeline:
    """The steps of a run, counted from 1, and its evaluations.

    Attributes:
        seed: Of the order of the data.
        total_steps: When to stop.
        steps_per_epoch: Full batches an epoch.
        num_examples: Size of the train split.
        batch_size: Examples a step.
        eval_every: When to evaluate; also at the end, even if never else.
    """

    seed: int
    total_steps: int
    steps_per_epoch: int
    num_examples: int
    batch_size: int
    eval_every: Cadence

    def epoch_of(self, step: int) -> int:
        """The epoch, counted from 1, in which a step takes place."""
        return (step - 1) // self.steps_per_epoch + 1

    def evaluates_after(self, step: int) -> bool:
        """Whether the validation split is evaluated after a step."""
        return step == self.total_steps or self.eval_every.is_due(step, self.steps_per_epoch)

    def next_evaluation(self, step: int) -> int:
        """The first step after `step` that an evaluation follows."""
        due = self.eval_every.next_due(step, self.steps_per_epoch)
        return int(min(self.total_steps, due))

    def indices(self, step: int, count: int) -> NDArray[np.int32]:
        """Which examples the `count` steps after `step` see."""
        return batch_indices(self.seed, step, count, self.num_examples, self.batch_size)


def make_timeline(job: Job, dataset: Dataset) -> Timeline:
    """Returns how long the job trains and when it evaluates."""
    loop = job.config.loop
    num_batches = batches_per_step(job.config)
    steps_per_epoch = dataset.steps_per_epoch // num_batches
    return Timeline(
        seed=job.config.seed,
        total_steps=loop.steps or loop.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        num_examples=len(dataset.train),
        batch_size=num_batches * dataset.batch_size,
        eval_every=Cadence.parse(loop.eval_every),
    )
