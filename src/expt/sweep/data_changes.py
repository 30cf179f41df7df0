"""Checks that a resumed sweep uses the same data as before the interruption."""

import json
from collections.abc import Sequence
from contextlib import suppress

from expt.errors import UserError
from expt.runs.record_parts import DataRecord
from expt.runs.recorded_data import data_change
from expt.runs.records import check_complete, read_run
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from expt.train.data_loading import DataLoader


def check_data(plan: SweepPlan, jobs: Sequence[PlannedJob], load: DataLoader) -> None:
    """Checks that the remaining jobs of a sweep have the same data as the runs already started.

    Args:
        plan: Plan of the sweep.
        jobs: The jobs that will be trained.
        load: Loads the data of jobs.

    Raises:
        UserError: The data has changed.
    """
    known = {_data_of(job): data for job in plan.jobs if (data := _recorded(job)) is not None}
    for key, job in {_data_of(job): job for job in jobs}.items():
        change = None
        with suppress(UserError):  # data that can't be loaded fails its own job later, no others
            change = data_change(known[key], load(job.job)) if key in known else None
        if change is not None:
            raise UserError(
                f"the data has changed since {plan.quoted} "
                f"started: {change}. Restore it, or start a new sweep."
            )


def _recorded(job: PlannedJob) -> DataRecord | None:
    """Returns the data record of a job's run; None if the run has not started, or is damaged."""
    with suppress(UserError):
        record = read_run(job.directory)
        check_complete(job.directory, record)
        return record.data
    return None


def _data_of(job: PlannedJob) -> str:
    """Returns a key that is equal for jobs with the same data."""
    return json.dumps([job.job.config.data, job.job.config.loop.batches], sort_keys=True)
