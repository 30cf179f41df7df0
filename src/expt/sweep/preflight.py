"""The preflight of a sweep: one batch of each kind of job, and the speed of one of each size."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

from expt.errors import RunError, UserError
from expt.record.phases import Phases
from expt.sweep.jobs import PlannedJob
from expt.sweep.launchers import Began, Ended, Launcher, Task, worker
from expt.sweep.plan import SweepPlan
from expt.train.signals import deferred_signals

_TICK = 0.2  # seconds


def check_kinds(
    plan: SweepPlan, kinds: Mapping[int, str], launcher: Launcher, phases: Phases
) -> float:
    """Trains one batch of each distinct kind of job, recording nothing.

    Args:
        plan: Nothing of it has been trained.
        kinds: The variant hash of each job, by its number: those that differ by their seed alone
            are of a kind.
        launcher: An idle one.
        phases: Show how many have been checked.

    Returns:
        About how many seconds a job takes, from one job of each size.

    Raises:
        UserError: A job can't be trained.
        RunError: A check raised something that is no user's error.
        KeyboardInterrupt: Ctrl-C.
        Terminated: SIGTERM.
    """
    first = {kind: number for number, kind in sorted(kinds.items(), reverse=True)}
    numbers = sorted(first.values())
    sizes = [_size(plan.jobs[number]) for number in numbers]
    checks = {}
    for place, number in enumerate(numbers):
        is_measured = sizes.index(sizes[place]) == place
        job, code = plan.jobs[number].job, plan.jobs[number].code
        task = Task(worker.check, (job, is_measured, code), threads=job.config["loop"]["threads"])
        checks[task.number] = number
        launcher.submit(task)
    results = _results(checks, launcher, phases)
    _refuse([(plan.jobs[number], results[number]) for number in numbers])
    # Jobs of one kind may differ in what changes no number, such as a path or what is saved.
    measured = {
        size: results[number].seconds
        for size, number in zip(sizes, numbers, strict=True)
        if results[number].seconds is not None
    }
    of_kinds = {kinds[number]: measured[size] for size, number in zip(sizes, numbers, strict=True)}
    return fmean(of_kinds[kind] or 0.0 for kind in kinds.values())


def _results(
    checks: Mapping[int, int], launcher: Launcher, phases: Phases
) -> dict[int, worker.CheckedJob]:
    """Waits for all checks.

    Args:
        checks: The number of each check's job, by the number of its task.
        launcher: The tasks have been submitted.
        phases: Show how many have been checked.

    Returns:
        The results by the numbers of the jobs.
    """
    results: dict[int, worker.CheckedJob] = {}
    starting = f"starting TensorFlow in {launcher.num_slots} workers"
    with phases(starting, at_once=True), deferred_signals() as interruption:
        while len(results) < len(checks):
            interruption.check()
            event = launcher.next_event(_TICK)
            if isinstance(event, Began) and not results:
                phases.begin(f"checking {len(checks)} kinds of jobs")
            if isinstance(event, Ended):
                dead = worker.CheckedJob(event.death, is_users=False)
                results[checks[event.number]] = event.value or dead
                phases.update(f"checking {len(checks)} kinds of jobs: {len(results)} checked")
    return results


def _size(job: PlannedJob) -> str:
    """Returns a text that is equal for jobs that take about as long."""
    return json.dumps([job.job.config[key] for key in ("data", "model", "loop")], sort_keys=True)


def _refuse(checked: Sequence[tuple[PlannedJob, worker.CheckedJob]]) -> None:
    """Raises an error that names all jobs that can't be trained."""
    wrong = [(job, result) for job, result in checked if result.error is not None]
    if not wrong:
        return
    told = "\n".join(f"{job.variant or job.name}: {result.error}" for job, result in wrong)
    text = f"{len(wrong)} of {len(checked)} kinds of jobs can't be trained; none was begun.\n{told}"
    if all(result.is_users for _, result in wrong):
        raise UserError(text)
    raise RunError(text)
