"""The order of a sweep's jobs, in which workers can use their compiled programs again."""

from collections.abc import Collection, Sequence

from expt.sweep.jobs import PlannedJob


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
    used = None if ended is None else ended.program_key
    compiled = {job.program_key for job in running}
    if used is not None:
        for index, job in enumerate(waiting):
            if job.program_key == used:
                return index
    others = (index for index, job in enumerate(waiting) if job.program_key not in compiled)
    return next(others, 0)
