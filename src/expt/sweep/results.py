"""Summary values of a sweep for its own MLflow run: its best job, and counts of its jobs."""

from typing import Any

from expt.config.quoting import values_by_key
from expt.runs.leading import best_values, larger_is_better, leading_metric
from expt.runs.naming import varied_keys
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep.jobs import SUCCESSFUL, PlannedJob
from expt.sweep.plan import SweepPlan


def results(plan: SweepPlan) -> dict[str, Any]:
    """Returns the summary of a sweep for its own MLflow run.

    Returns:
        `metrics`: the numbers of jobs, and the values of the best job's kept model and test
        split. `params`: the name of the best job, and its values of the keys that vary.
    """
    numbers: dict[str, float] = {
        "jobs": len(plan.jobs),
        "jobs_finished": plan.count(*SUCCESSFUL),
        "jobs_failed": plan.count(JobStatus.FAILED),
    }
    best = _best(plan)
    if best is None:
        return {"metrics": numbers, "params": {}}
    job, record = best
    final = {} if record.final is None else record.final.values
    metrics = {f"best/{name}": value for name, value in best_values(record).items()}
    metrics |= {name: value for name, value in final.items() if name.startswith("test/")}
    values, varied = (
        values_by_key(job.job.overrides),
        varied_keys([one.job.overrides for one in plan.jobs]),
    )
    params = {f"best.{key}": values[key] for key in varied if key in values}
    name = record.label or job.name
    return {"metrics": {**metrics, **numbers}, "params": {"best.run": name, **params}}


def _best(plan: SweepPlan) -> tuple[PlannedJob, RunRecord] | None:
    """Returns the best job and its record; None if no job has a value of the leading metric."""
    # By the same rule as comparisons and `best@SWEEP`, so that all of them name the same job.
    records = [(job, job.result()) for job in plan.jobs if job.status in SUCCESSFUL]
    found = [(job, record) for job, record in records if record is not None]
    leading = leading_metric([record for _, record in found])
    measured = [pair for pair in found if leading in best_values(pair[1])]
    if leading is None or not measured:
        return None
    choose = max if larger_is_better(leading, [record for _, record in found]) else min
    return choose(measured, key=lambda pair: best_values(pair[1])[leading])
