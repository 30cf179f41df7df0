"""The timeline of a run: its steps and epochs, and the steps at which evaluations are due."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.config.declarations import batches_per_step
from expt.config.job import Job
from expt.parts.data.dataset import Dataset
from expt.train.input.order import batch_indices


@dataclass(frozen=True)
class Timeline:
    """The steps of a run, counted from 1, and its evaluations.

    Attributes:
        seed: The seed of the order of the data.
        total_steps: The planned number of steps.
        steps_per_epoch: The number of full batches per epoch.
        num_examples: The size of the train split.
        batch_size: The number of examples per step; with accumulation, of all its batches.
        eval_every: The cadence of evaluations. The last step is always evaluated.
    """

    seed: int
    total_steps: int
    steps_per_epoch: int
    num_examples: int
    batch_size: int
    eval_every: Cadence

    def epoch_of(self, step: int) -> int:
        """Returns the epoch of a step, counted from 1; 0 for step 0, before training."""
        return (step - 1) // self.steps_per_epoch + 1

    def evaluates_after(self, step: int) -> bool:
        """Returns whether the validation split is evaluated after a step."""
        return step == self.total_steps or self.eval_every.is_due(step, self.steps_per_epoch)

    def next_evaluation(self, step: int) -> int:
        """Returns the first step after `step` that is followed by an evaluation."""
        due = self.eval_every.next_due(step, self.steps_per_epoch)
        return int(min(self.total_steps, due))

    def indices(self, step: int, count: int) -> NDArray[np.int32]:
        """Returns the training examples of the `count` steps after `step`.

        Returns:
            Indices into the train split, shape [count, batch_size].
        """
        return batch_indices(self.seed, step, count, self.num_examples, self.batch_size)


def make_timeline(job: Job, dataset: Dataset) -> Timeline:
    """Returns the timeline of a job, from its config and the size of its data set."""
    loop = job.config.loop
    num_batches = batches_per_step(job.config)
    steps_per_epoch = dataset.steps_per_epoch // num_batches
    return Timeline(
        seed=job.config.seed,
        # `loop.steps` wins, since `loop.epochs` always has a value.
        total_steps=loop.steps or loop.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        num_examples=len(dataset.train),
        batch_size=num_batches * dataset.batch_size,
        eval_every=Cadence.parse(loop.eval_every),
    )
