"""The code of a sweep's jobs: what was planned is what must be trained."""

from collections.abc import Sequence

from expt.config.compose import Job
from expt.config.sources import Code, changed_modules, code_of
from expt.errors import UserError
from expt.runs.changed_code import ALLOW_OPTION, listed
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan


def check_planned(job: Job, planned: Code | None) -> None:
    """Checks that this process runs the code that a job was planned with.

    A process reads each module once, before it is imported: one that has trained jobs before has
    the code of that time, whatever is on disk by now.

    Args:
        job: The frozen config.
        planned: Its code; None if that was not recorded.

    Raises:
        UserError: It is other code.
    """
    changed = [] if planned is None else _changed(planned, code_of(job.config))
    if changed:
        raise UserError(
            f"the code has changed since the sweep was planned: {listed(changed)}. Restore it, or "
            f"train the job with the changed code: python -m expt.resume SWEEP --retry-failed "
            f"{ALLOW_OPTION}"
        )


def use_current_code(plan: SweepPlan, jobs: Sequence[PlannedJob], *, allow: bool) -> str | None:
    """Plans some jobs of an interrupted sweep with the code as it is now.

    Args:
        plan: The sweep's.
        jobs: Those that will be trained.
        allow: Whether the code may have changed.

    Returns:
        What a user should know of it, if anything.

    Raises:
        UserError: The code has changed, and that is not allowed.
    """
    current = [code_of(job.job.config) for job in jobs]
    known = [(job.code, now) for job, now in zip(jobs, current, strict=True) if job.code]
    changed = {name for planned, now in known for name in _changed(planned, now)}
    names = listed(sorted(changed, key=lambda name: (name.startswith("expt."), name)))
    if changed and not allow:
        where = plan.quoted
        raise UserError(
            f"the code has changed since {where} was planned: {names}. Restore it, or plan a new "
            "sweep. To train the jobs that are left with the changed code, which their records "
            f"then say: python -m expt.resume {where} {ALLOW_OPTION}"
        )
    for job, now in zip(jobs, current, strict=True):
        job.code = now
    if changed:
        return f"continuing with changed {names}."
    if len(known) < len(jobs):
        return "the sweep was planned without its code; whether that has changed is unknown."
    return None


def _changed(planned: Code, now: Code) -> list[str]:
    return changed_modules(planned.modules, now.modules)
