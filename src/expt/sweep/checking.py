"""What is tried of a sweep before it starts: one batch of each kind of job, and their speed."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

from expt.errors import RunError, UserError
from expt.record.phases import Phases
from expt.sweep import worker
from expt.sweep.plan import Plan, PlannedJob
from expt.sweep.workers import Began, Ended, Workers
from expt.train.signals import deferred_signals

_TICK = 0.2  # seconds


def check_kinds(plan: Plan, kinds: Mapping[int, str], workers: Workers, phases: Phases) -> float:
    """Takes one batch through each distinct kind of job.

    Args:
        plan: Nothing of it has been trained.
        kinds: The variant hash of each job, by its number: those that differ by their seed alone
            are of a kind.
        workers: Free ones.
        phases: Show how many have been checked.

    Returns:
        About how many seconds a job takes, from one job of each size.

    Raises:
        UserError: A job can't be trained.
        RunError: One raises something that is no user's mistake.
        KeyboardInterrupt: Ctrl-C.
        Terminated: SIGTERM.
    """
    first = {kind: number for number, kind in sorted(kinds.items(), reverse=True)}
    numbers = sorted(first.values())
    sizes = [_size(plan.jobs[number]) for number in numbers]
    for place, number in enumerate(numbers):
        is_measured = sizes.index(sizes[place]) == place
        job, code = plan.jobs[number].job, plan.jobs[number].code
        threads = job.config["loop"]["threads"]
        workers.submit(number, worker.check, job, is_measured, code, threads=threads)
    checked: dict[int, worker.Checked] = {}
    starting = f"starting TensorFlow in {workers.number} workers"
    with phases(starting, at_once=True), deferred_signals() as interruption:
        while len(checked) < len(numbers):
            interruption.check()
            event = workers.next(_TICK)
            if isinstance(event, Began) and not checked:
                phases.begin(f"checking {len(numbers)} kinds of jobs")
            if isinstance(event, Ended):
                checked[event.number] = event.value or worker.Checked(event.death, is_users=False)
                phases.update(f"checking {len(numbers)} kinds of jobs: {len(checked)} checked")
    _refuse([(plan.jobs[number], checked[number]) for number in numbers])
    # Jobs of one kind may differ in what changes no number, such as a path or what is saved.
    measured = {
        size: checked[number].seconds
        for size, number in zip(sizes, numbers, strict=True)
        if checked[number].seconds is not None
    }
    of_kinds = {kinds[number]: measured[size] for size, number in zip(sizes, numbers, strict=True)}
    return fmean(of_kinds[kind] or 0.0 for kind in kinds.values())


def _size(job: PlannedJob) -> str:
    """What jobs that take about as long have in common."""
    values = job.job.config.to_mapping()
    return json.dumps([values[key] for key in ("data", "model", "loop")], sort_keys=True)


def _refuse(checked: Sequence[tuple[PlannedJob, worker.Checked]]) -> None:
    """Tells of all jobs that can't be trained."""
    wrong = [(job, result) for job, result in checked if result.error is not None]
    if not wrong:
        return
    told = "\n".join(f"{job.variant or job.name}: {result.error}" for job, result in wrong)
    text = f"{len(wrong)} of {len(checked)} kinds of jobs can't be trained; none was begun.\n{told}"
    if all(result.is_users for _, result in wrong):
        raise UserError(text)
    raise RunError(text)
