"""An estimate of the duration of a job, from measurements of some of its steps.

Importing this module imports TensorFlow; call `start_tensorflow` before.
"""

import time

from expt.train.executors.single import block_capacity, compile_block
from expt.train.program import Program

_SECONDS = 0.3  # the minimum duration of the steps that are measured


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
    steps, count, stepping = 0, 1, 0.0
    capacity = block_capacity(timeline.batch_size)
    while stepping < _SECONDS and steps < timeline.total_steps:
        count = min(2 * count, capacity, timeline.total_steps - steps)
        indices = timeline.indices(steps, count)
        begun = time.perf_counter()
        run_block(steps, indices)
        stepping += time.perf_counter() - begun
        steps += count
    cadence = timeline.eval_every.next_due(0, timeline.steps_per_epoch)
    evaluations = 1 + int(draws) + timeline.total_steps / cadence
    return compiling + timeline.total_steps * stepping / steps + evaluations * evaluating
