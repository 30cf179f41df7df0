"""The preflight of a sweep: trains one batch of each kind of job before the first job starts.

Jobs that differ only in their seed are of the same kind. Jobs with the same data, model and loop
are of the same size, and take about equally long.
"""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

from expt.errors import RunError, UserError
from expt.record.phases import Phases
from expt.record.values import format_seconds
from expt.sweep.jobs import PlannedJob
from expt.sweep.launchers import Launcher, Task, TaskEnded, TaskStarted, worker
from expt.sweep.limits import Deadlines
from expt.sweep.plan import SweepPlan
from expt.train.signals import deferred_signals

CHECK_TIMEOUT = 600.0
"""Time limit of a check in seconds. It includes loading the data and compiling the model."""
_POLL_SECONDS = 0.2


def check_kinds(
    plan: SweepPlan, kinds: Mapping[int, str], launcher: Launcher, phases: Phases
) -> float:
    """Trains one batch of each kind of job, without recording anything.

    Args:
        plan: A plan of which no job has been trained.
        kinds: Job index -> variant hash. Jobs with the same hash, which differ only in their seed,
            are of the same kind.
        launcher: An idle launcher.
        phases: Show the number of checked kinds.

    Returns:
        The estimated duration of a job in seconds: the mean over all jobs, from measurements of
        one job of each size.

    Raises:
        UserError: A job can't be trained.
        RunError: A check has failed with an error that is not a user error.
        KeyboardInterrupt: Ctrl-C was pressed.
        Terminated: SIGTERM was received.
    """
    # In reverse order, so that the first job of each kind is the one that remains.
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
    _raise_if_wrong([(plan.jobs[number], results[number]) for number in numbers])
    # By kind and not by size: jobs of one kind may differ in values that are not in the hash, such
    # as a path, and thus have a size that was not measured.
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
        checks: Task number -> job index.
        launcher: The launcher to which the tasks have been submitted.
        phases: Show the number of checked kinds.

    Returns:
        Job index -> result.
    """
    results: dict[int, worker.CheckedJob] = {}
    checking = f"checking {len(checks)} {'kind of job' if len(checks) == 1 else 'kinds of jobs'}"
    deadlines = Deadlines()
    starting = f"starting TensorFlow in {launcher.num_slots} workers"
    with phases(starting, at_once=True), deferred_signals() as interruption:
        while len(results) < len(checks):
            interruption.check()
            event = launcher.next_event(_POLL_SECONDS)
            if isinstance(event, TaskStarted):
                deadlines.begin(event.number, CHECK_TIMEOUT)
                if not results:
                    phases.begin(checking)
            if isinstance(event, TaskEnded):
                is_overdue = deadlines.end(event.number)
                results[checks[event.number]] = result_of_check(event, is_overdue=is_overdue)
                phases.update(f"{checking}: {len(results)} checked")
            for number in deadlines.overdue():
                launcher.cancel(number)
    return results


def check_task(job: PlannedJob, *, is_measured: bool) -> Task:
    """Returns the task that checks a job with one batch; `is_measured` adds a time estimate."""
    threads = job.job.config.loop.threads
    return Task(worker.check, (job.job, is_measured, job.code), threads=threads)


def result_of_check(event: TaskEnded, *, is_overdue: bool) -> worker.CheckedJob:
    """Returns the result of a check, also if its worker died or exceeded the time limit."""
    if event.value is not None:
        result: worker.CheckedJob = event.value
        return result
    if is_overdue:
        return worker.CheckedJob(
            f"its check took longer than {format_seconds(CHECK_TIMEOUT)}: loading the data, "
            "building the model or training the first batch does not finish. Expected a few "
            "seconds: look for an endless loop or a lock in custom parts, or for unreachable data."
        )
    return worker.CheckedJob(event.error, is_users=False)


def _size(job: PlannedJob) -> str:
    """Returns a key that is equal for jobs that take about equally long."""
    config = job.job.config.to_mapping()
    return json.dumps([config[key] for key in ("data", "model", "loop")], sort_keys=True)


def _raise_if_wrong(checked: Sequence[tuple[PlannedJob, worker.CheckedJob]]) -> None:
    """Raises an error that lists all jobs that can't be trained; returns if there are none."""
    wrong = [(job, result) for job, result in checked if result.error is not None]
    if not wrong:
        return
    reasons = "\n".join(f"{job.variant or job.name}: {result.error}" for job, result in wrong)
    text = (
        f"{len(wrong)} of {len(checked)} kinds of jobs can't be trained; no job was started."
        f"\n{reasons}"
    )
    if all(result.is_users for _, result in wrong):
        raise UserError(text)
    raise RunError(text)
