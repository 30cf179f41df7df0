"""The preflight of a sweep: one batch of each kind of job, and the speed of one of each size."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

from expt.errors import RunError, UserError
from expt.record.phases import Phases
from expt.record.values import format_seconds
from expt.sweep.jobs import PlannedJob
from expt.sweep.launchers import Began, Ended, Launcher, Task, worker
from expt.sweep.limits import Deadlines
from expt.sweep.plan import SweepPlan
from expt.train.signals import deferred_signals

LONGEST_CHECK = 600.0
"""Seconds that the check of a job may take: data that is large is loaded, a model compiled."""
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
        task = check_task(plan.jobs[number], is_measured=is_measured)
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
    deadlines = Deadlines()
    starting = f"starting TensorFlow in {launcher.num_slots} workers"
    with phases(starting, at_once=True), deferred_signals() as interruption:
        while len(results) < len(checks):
            interruption.check()
            event = launcher.next_event(_TICK)
            if isinstance(event, Began):
                deadlines.begin(event.number, LONGEST_CHECK)
                if not results:
                    phases.begin(f"checking {len(checks)} kinds of jobs")
            if isinstance(event, Ended):
                is_overdue = deadlines.end(event.number)
                results[checks[event.number]] = result_of_check(event, is_overdue=is_overdue)
                phases.update(f"checking {len(checks)} kinds of jobs: {len(results)} checked")
            for number in deadlines.overdue():
                launcher.cancel(number)
    return results


def check_task(job: PlannedJob, *, is_measured: bool) -> Task:
    """Returns the task that trains one batch of a job, and measures its speed if asked to."""
    threads = job.job.config.loop.threads
    return Task(worker.check, (job.job, is_measured, job.code), threads=threads)


def result_of_check(event: Ended, *, is_overdue: bool) -> worker.CheckedJob:
    """Returns the result of a check, also if its process died or took too long."""
    if event.value is not None:
        result: worker.CheckedJob = event.value
        return result
    if is_overdue:
        return worker.CheckedJob(
            f"its check took longer than {format_seconds(LONGEST_CHECK)}: loading the data, "
            "building the model or training the first batch does not end. Expected a few seconds; "
            "look for a loop or a lock in the job's own parts, or data that is not reachable."
        )
    return worker.CheckedJob(event.death, is_users=False)


def _size(job: PlannedJob) -> str:
    """Returns a text that is equal for jobs that take about as long."""
    config = job.job.config.to_mapping()
    return json.dumps([config[key] for key in ("data", "model", "loop")], sort_keys=True)


def _refuse(checked: Sequence[tuple[PlannedJob, worker.CheckedJob]]) -> None:
    """Raises an error that names all jobs that can't be trained."""
    wrong = [(job, result) for job, result in checked if result.error is not None]
    if not wrong:
        return
    reasons = "\n".join(f"{job.variant or job.name}: {result.error}" for job, result in wrong)
    text = (
        f"{len(wrong)} of {len(checked)} kinds of jobs can't be trained; none was begun.\n{reasons}"
    )
    if all(result.is_users for _, result in wrong):
        raise UserError(text)
    raise RunError(text)
