"""What a job will do, tried before any is trained: one batch, and how long all of it will take.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

import time

from expt.config.compose import Job
from expt.parts.data.dataset import Dataset
from expt.train.assembly import make_plan
from expt.train.backend import mistakes_told
from expt.train.block import make_run_block
from expt.train.building import make_parts
from expt.train.input.feed import first_batch, make_feed
from expt.train.loop import CAPACITY
from expt.train.saveable import check_saveable

_SECONDS = 0.3  # of steps that are measured


def check_job(job: Job, dataset: Dataset) -> None:
    """Builds all that a job needs and takes one batch through it; nothing is kept.

    Raises:
        UserError: A part refuses its arguments, or the parts don't fit each other: a shape, a
            missing gradient, a loss that is not finite; or the model can't be saved.
    """
    parts = make_parts(job, dataset, make_plan(job, dataset).total_steps)
    with mistakes_told("the first batch can't be trained on"):
        parts.learner.check(batch := first_batch(dataset), dataset)
    check_saveable(parts.learner.model, job, batch.inputs)


def estimate_seconds(job: Job, dataset: Dataset) -> float:
    """Returns about how long a job takes: compiling, its steps, its evaluations."""
    plan, mode = make_plan(job, dataset), job.config["loop"]["compile"]
    begun = time.perf_counter()
    learner = make_parts(job, dataset, plan.total_steps).learner
    feed = make_feed(plan, dataset)
    run_block = make_run_block(learner.step, feed, plan.batch_size, CAPACITY, mode)
    evaluate = learner.make_evaluate(dataset.validation, mode)
    evaluate()
    compiling = time.perf_counter() - begun
    begun = time.perf_counter()
    evaluate()
    evaluating = time.perf_counter() - begun
    steps, count, stepping = 0, 1, 0.0
    while stepping < _SECONDS and steps < plan.total_steps:
        count = min(2 * count, CAPACITY, plan.total_steps - steps)
        indices = plan.indices(steps, count)
        begun = time.perf_counter()
        run_block(steps, indices)
        stepping += time.perf_counter() - begun
        steps += count
    cadence = plan.eval_every.next_due(0, plan.steps_per_epoch)
    evaluations = 1 + int(plan.draws_after(0)) + plan.total_steps / cadence
    return compiling + plan.total_steps * stepping / steps + evaluations * evaluating
