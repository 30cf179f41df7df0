"""Durations of the parts of a job, measured alone, and an estimate of its whole duration.

Importing this module imports TensorFlow; call `start_tensorflow` before.
"""

import time
from dataclasses import dataclass

from expt.config.declarations import batches_per_step
from expt.config.job import Job
from expt.parts.data.dataset import Dataset
from expt.train.executors.block import RunBlock
from expt.train.executors.single import block_capacity, compile_block
from expt.train.input.pipeline import InputPipeline, first_batch
from expt.train.program import Program, make_program
from expt.train.timeline import Timeline

_SECONDS = 0.3  # the minimum duration of the steps that are measured


@dataclass(frozen=True)
class PartSeconds:
    """The durations of the parts of training, each measured without the others.

    Attributes:
        compute: Seconds per step on a batch that is already there.
        input: Seconds per step that it takes longer if its batch comes from the input pipeline.
        evaluation: Seconds per evaluation of the validation split.
    """

    compute: float
    input: float
    evaluation: float


def measure_parts(job: Job, dataset: Dataset) -> PartSeconds:
    """Measures the parts of a job, in a new program, since measuring trains it."""
    program = make_program(job, dataset)
    fixed = _FixedBatch(**vars(program))
    compute = _seconds_per_step(compile_block(fixed), program.timeline)
    # The pipeline comes second, so that reading ahead does not run during the first measurement.
    stepping = _seconds_per_step(compile_block(program), program.timeline)
    evaluate = program.make_evaluate(program.dataset.validation)
    evaluate()
    begun = time.perf_counter()
    evaluate()
    evaluating = time.perf_counter() - begun
    return PartSeconds(compute, max(0.0, stepping - compute), evaluating)


def estimate_seconds(program: Program) -> float:
    """Returns an estimate, in seconds, of the time for compiling, training and evaluating."""
    timeline, draws = program.timeline, program.job.config.loop.image_every is not None
    begun = time.perf_counter()
    run_block = compile_block(program)
    evaluate = program.make_evaluate(program.dataset.validation)
    evaluate()
    compiling = time.perf_counter() - begun
    # Once more: the first call includes starting costs, which are counted as compiling.
    begun = time.perf_counter()
    evaluate()
    evaluating = time.perf_counter() - begun
    stepping = _seconds_per_step(run_block, timeline)
    cadence = timeline.eval_every.next_due(0, timeline.steps_per_epoch)
    evaluations = 1 + int(draws) + timeline.total_steps / cadence
    return compiling + timeline.total_steps * stepping + evaluations * evaluating


def _seconds_per_step(run_block: RunBlock, timeline: Timeline) -> float:
    steps, count, stepping = 0, 1, 0.0
    capacity = block_capacity(timeline.batch_size)
    while stepping < _SECONDS and steps < timeline.total_steps:
        count = min(2 * count, capacity, timeline.total_steps - steps)
        indices = timeline.indices(steps, count)
        begun = time.perf_counter()
        run_block(steps, indices)
        stepping += time.perf_counter() - begun
        steps += count
    return stepping / steps


@dataclass(frozen=True)
class _FixedBatch(Program):
    """A program whose steps all train on the same batch."""

    def make_pipeline(self, first_step: int = 0) -> InputPipeline:
        del first_step
        batch = first_batch(self.dataset, batches_per_step(self.job.config))
        return InputPipeline(lambda _indices, _step: batch, reads_ahead=False)
