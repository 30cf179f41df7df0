"""Checks that the jobs of a sweep are trained with the code that they were planned with."""

from collections.abc import Sequence

from expt.config.job import Job
from expt.config.sources import Code, changed_modules, code_of
from expt.errors import UserError
from expt.runs.changed_code import ALLOW_OPTION, listed
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan


def check_planned(job: Job, planned: Code | None) -> None:
    """Checks that this worker process runs the code that a job was planned with.

    A process hashes each module once, before importing it. A worker that has already trained jobs
    is therefore checked for the code that it has loaded, not for the code on disk.

    Args:
        job: The job, with its frozen config.
        planned: The code that the job was planned with; None if it was not recorded.

    Raises:
        UserError: The code has changed.
    """
    changed = [] if planned is None else _changed(planned, code_of(job.config))
    if changed:
        # All in one line: the table at the end of a sweep shows the first line of a job's error.
        raise UserError(
            f"the code has changed since the sweep was planned: {listed(changed)}. Restore it, or "
            f"train the job with the changed code: python -m expt.resume SWEEP --retry-failed "
            f"{ALLOW_OPTION}"
        )


def use_current_code(plan: SweepPlan, jobs: Sequence[PlannedJob], *, allow: bool) -> str | None:
    """Replaces the planned code of unfinished jobs by the current code.

    Args:
        plan: Plan of the sweep.
        jobs: The jobs that will be trained.
        allow: Whether the code may have changed.

    Returns:
        A note for the user if the code has changed, or if that can't be determined.

    Raises:
        UserError: The code has changed, and `allow` is false.
    """
    current = [code_of(job.job.config) for job in jobs]
    known = [(job.code, now) for job, now in zip(jobs, current, strict=True) if job.code]
    changed = {name for planned, now in known for name in _changed(planned, now)}
    # The user's own modules first: of many names, only the first few are listed.
    names = listed(sorted(changed, key=lambda name: (name.startswith("expt."), name)))
    if changed and not allow:
        where = plan.quoted
        raise UserError(
            f"the code has changed since {where} was planned: {names}. Restore it, or start a new "
            "sweep.\nTo train the remaining jobs with the changed code, which is then noted in "
            f"their records: python -m expt.resume {where} {ALLOW_OPTION}"
        )
    for job, now in zip(jobs, current, strict=True):
        job.code = now
    if changed:
        return f"continuing with changed code: {names}."
    if len(known) < len(jobs):
        return "the sweep has no record of its code, so changes since then can't be detected."
    return None


def _changed(planned: Code, now: Code) -> list[str]:
    return changed_modules(planned.modules, now.modules)
