"""The params of a run: what a person would compare of its config."""

from typing import Any

from expt.config.compose import Job
from expt.config.own_groups import GROUPS


def make_params(job: Job) -> dict[str, Any]:
    """Returns what a person would compare of a config: each group's option, and the values.

    Targets, sinks and paths are left out; they are in the frozen config, which is recorded whole.
    """
    values = {
        key: value
        for key, value in job.config.flat().items()
        if not key.endswith("_target_")
        and key not in ("name", "output_dir")
        and key.partition(".")[0] not in GROUPS
    }
    return {**job.choices, **values}
