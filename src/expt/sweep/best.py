"""The best job of a sweep: so far, and at the end."""

from dataclasses import dataclass

from expt.errors import UserError
from expt.record.values import format_value
from expt.runs.best import Best, best_of
from expt.runs.records import RunRecord
from expt.sweep.jobs import ENDED_WELL, PlannedJob
from expt.sweep.plan import SweepPlan


@dataclass(frozen=True)
class Result:
    """What a job has achieved.

    Attributes:
        job: The job.
        metric: The metric by which jobs are compared.
        value: Its value at the job's best step.
        larger_is_better: The direction of the metric.
    """

    job: PlannedJob
    metric: str
    value: float
    larger_is_better: bool

    def __str__(self) -> str:
        return f"{self.metric} {format_value(self.value)}  {self.job.name}"

    def is_better_than(self, other: "Result | None") -> bool:
        """Whether this is better; values of another metric can't be compared."""
        if other is None:
            return True
        gain = self.value - other.value
        return self.metric == other.metric and (gain if self.larger_is_better else -gain) > 0


def best_job(plan: SweepPlan) -> tuple[PlannedJob, Best] | None:
    """Returns the best of the jobs that have ended well, those of earlier processes included.

    It is the one that `best@SWEEP` names; None if jobs can't be compared.
    """
    ended = [(job, job.result()) for job in plan.jobs if job.status in ENDED_WELL]
    readable = [(job, record) for job, record in ended if record is not None]
    try:
        best = best_of([record for _, record in readable])
    except UserError:
        return None
    return readable[best.index][0], best


def result_of(plan: SweepPlan, job: PlannedJob, record: RunRecord) -> Result | None:
    """Returns the result of a job of a plan; None if it has none that can be compared.

    Args:
        plan: The sweep's.
        job: The job.
        record: The content of its run.json; empty if there is none.
    """
    metric = _deciding(plan, record)
    if metric is None or record.best is None or record.best.values.get(metric) is None:
        return None
    value = record.best.values[metric]
    larger = metric.rpartition("/")[2] in (record.larger_is_better or ())
    return Result(job, metric, value, larger_is_better=larger)


def _deciding(plan: SweepPlan, record: RunRecord) -> str | None:
    """Returns the metric by which jobs are compared.

    It is the monitored one, unless that is a loss that varies among the jobs.
    """
    watched = record.watched
    losses = [job.job.config.loss for job in plan.jobs]
    if watched != "val/loss" or all(loss == losses[0] for loss in losses):
        return watched
    return next((f"val/{name}" for name in record.larger_is_better or ()), None)
