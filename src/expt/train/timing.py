"""An estimate of how long a job takes, from some of its steps.

Importing this imports TensorFlow; `start_tensorflow` comes first.
"""

import time

from expt.train.executors.single import CAPACITY, compile_block
from expt.train.program import Program

_SECONDS = 0.3  # of steps that are measured


def estimate_seconds(program: Program) -> float:
    """Returns about how long a job takes: compiling, its steps, its evaluations."""
    timeline, draws = program.timeline, program.job.config.loop.image_every is not None
    begun = time.perf_counter()
    run_block = compile_block(program)
    evaluate = program.make_evaluate(program.dataset.validation)
    evaluate()
    compiling = time.perf_counter() - begun
    begun = time.perf_counter()
    evaluate()
    evaluating = time.perf_counter() - begun
    steps, count, stepping = 0, 1, 0.0
    while stepping < _SECONDS and steps < timeline.total_steps:
        count = min(2 * count, CAPACITY, timeline.total_steps - steps)
        indices = timeline.indices(steps, count)
        begun = time.perf_counter()
        run_block(steps, indices)
        stepping += time.perf_counter() - begun
        steps += count
    cadence = timeline.eval_every.next_due(0, timeline.steps_per_epoch)
    evaluations = 1 + int(draws) + timeline.total_steps / cadence
    return compiling + timeline.total_steps * stepping / steps + evaluations * evaluating
