"""The best job of a sweep, so far and at the end."""

from dataclasses import dataclass

from expt.errors import UserError
from expt.record.values import format_value
from expt.runs.best import Best, best_of
from expt.runs.records import RunRecord
from expt.sweep.jobs import SUCCESSFUL, PlannedJob
from expt.sweep.plan import SweepPlan


@dataclass(frozen=True)
class Result:
    """The result of a job.

    Attributes:
        job: The job.
        metric: Name of the metric that compares jobs.
        value: Value of the metric at the job's best step.
        larger_is_better: Whether larger values of the metric are better.
    """

    job: PlannedJob
    metric: str
    value: float
    larger_is_better: bool

    def __str__(self) -> str:
        return f"{self.metric} {format_value(self.value)}  {self.job.name}"

    def is_better_than(self, other: "Result | None") -> bool:
        """Whether this result is better than another; true for None, false for another metric."""
        if other is None:
            return True
        gain = self.value - other.value
        return self.metric == other.metric and (gain if self.larger_is_better else -gain) > 0


def best_job(plan: SweepPlan) -> tuple[PlannedJob, Best] | None:
    """Returns the best of the finished and reused jobs, including those of previous processes.

    This is the same job as `best@SWEEP`. None if no jobs can be compared.
    """
    # Read from disk, not remembered: a resumed sweep also has jobs of previous processes.
    ended = [(job, job.result()) for job in plan.jobs if job.status in SUCCESSFUL]
    readable = [(job, record) for job, record in ended if record is not None]
    try:
        best = best_of([record for _, record in readable])
    except UserError:
        return None
    return readable[best.index][0], best


def result_of(plan: SweepPlan, job: PlannedJob, record: RunRecord) -> Result | None:
    """Returns the result of a job; None if it has no value that can be compared with other jobs.

    Args:
        plan: Plan of the sweep.
        job: A job of the plan.
        record: Record of the job's run; empty if there is none.
    """
    metric = _comparison_metric(plan, record)
    if metric is None or record.best is None or record.best.values.get(metric) is None:
        return None
    value = record.best.values[metric]
    # Records list the bare names, since a direction is the same for all splits.
    larger = metric.rpartition("/")[2] in (record.larger_is_better or ())
    return Result(job, metric, value, larger_is_better=larger)


def _comparison_metric(plan: SweepPlan, record: RunRecord) -> str | None:
    """Returns the name of the metric that compares jobs.

    This is the monitored metric. If that is the loss and the jobs have different losses, whose
    values can't be compared, it is the first metric of which larger values are better.
    """
    watched = record.watched
    losses = [job.job.config.loss for job in plan.jobs]
    if watched != "val/loss" or all(loss == losses[0] for loss in losses):
        return watched
    return next((f"val/{name}" for name in record.larger_is_better or ()), None)
