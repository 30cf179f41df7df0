"""The data of a sweep's jobs: that of its first runs must be that of its last ones."""

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
    """Checks that jobs of an interrupted sweep have the data that its other runs were begun with.

    Args:
        plan: The sweep's.
        jobs: Those that will be trained.
        load: Loads their data.

    Raises:
        UserError: The data has changed.
    """
    known = {_data_of(job): data for job in plan.jobs if (data := _recorded(job)) is not None}
    for key, job in {_data_of(job): job for job in jobs}.items():
        change = None
        with suppress(UserError):  # the job fails with it, alone
            change = data_change(known[key], load(job.job)) if key in known else None
        if change is not None:
            raise UserError(
                f"the data has changed since {plan.quoted} "
                f"began: {change}. Restore it, or begin a new sweep."
            )


def _recorded(job: PlannedJob) -> DataRecord | None:
    """Returns the data that a job's run began with; None if it has not begun, or is damaged."""
    with suppress(UserError):
        record = read_run(job.directory)
        check_complete(job.directory, record)
        return record.data
    return None


def _data_of(job: PlannedJob) -> str:
    """Returns a text that is the same for jobs that have the same data."""
    return json.dumps([job.job.config.data, job.job.config.loop.batches], sort_keys=True)
