"""The order of a sweep's jobs, in which workers can use their compiled programs again."""

from collections.abc import Collection, Sequence

from expt.sweep.jobs import PlannedJob
from expt.train.program_key import program_key


def next_job(
    waiting: Sequence[PlannedJob], running: Collection[PlannedJob], ended: PlannedJob | None
) -> int:
    """Returns the index of the job to start next.

    A job that can use the program of the job that has just ended comes first, since the free worker
    has compiled that program. Otherwise it is the first job whose program no other worker has
    compiled, if there is one.

    Args:
        waiting: The waiting jobs in the order of the plan; at least one.
        running: The jobs that other workers run.
        ended: The job that the free worker ran before; None if it has run none.
    """
    keys = [program_key(job.job) for job in waiting]
    used = None if ended is None else program_key(ended.job)
    compiled = {program_key(job.job) for job in running}
    same = (index for index, key in enumerate(keys) if key is not None and key == used)
    others = (index for index, key in enumerate(keys) if key not in compiled)
    return next(same, next(others, 0))
