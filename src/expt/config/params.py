"""The parameters of a run, by which people compare runs."""

from typing import Any

from expt.config.hydra_groups import GROUPS
from expt.config.job import Job


def make_params(job: Job) -> dict[str, Any]:
    """Returns the parameters of a job: the option of each group, and the values by full key.

    Targets, sweepers, launchers, `name`, `output_dir`, `mode` and `doctor` are left out. The frozen
    config, which is recorded as a whole, has them.
    """
    values = {
        key: value
        for key, value in job.config.flat().items()
        # The choices name the parts more briefly than their targets do.
        if not key.endswith("_target_")
        and key not in ("name", "output_dir", "mode", "doctor")
        and key.partition(".")[0] not in GROUPS
    }
    return {**job.choices, **values}
