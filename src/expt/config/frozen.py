"""The frozen config of a recorded run, and changes to it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from expt.config.compose import Job, compose_jobs
from expt.config.hydra_errors import hydras_errors_as_ours
from expt.errors import UserError, hint


def read_frozen(directory: Path, record: dict[str, Any]) -> Job:
    """Returns the job that a run recorded in a directory.

    Args:
        directory: The run's.
        record: The content of its run.json.

    Raises:
        UserError: The config is missing or damaged.
    """
    file = directory / ".hydra" / "config.yaml"
    try:
        config = OmegaConf.to_container(OmegaConf.load(file), resolve=True, enum_to_str=True)
    # OmegaConf lets through whatever the YAML parser raises.
    except Exception as error:
        raise UserError(f"{file} can't be read: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{file} is not a config.")
    frozen = {str(key): value for key, value in config.items()}
    return Job(frozen, dict(record["choices"]), tuple(record["overrides"]))


def with_data(job: Job, overrides: Sequence[str], config_dir: str | None) -> Job:
    """Returns a job with other data.

    Args:
        job: A recorded one.
        overrides: `data=OPTION` for another source, `data.KEY=VALUE` to change its keys.
        config_dir: A `conf/` folder of the user's own.

    Raises:
        UserError: An override is of something else, or wrong.
    """
    for override in overrides:
        if not override.lstrip("+~").startswith(("data=", "data.")):
            raise UserError(
                f"{override}: only the data of a recorded run can be changed: data=… or data.KEY=…"
            )
    if any(override.startswith("data=") for override in overrides):
        (composed,), _ = compose_jobs(list(overrides), config_dir, multirun=False)
        choices = {**job.choices, "data": composed.choices["data"]}
        return replace(job, config={**job.config, "data": composed.config["data"]}, choices=choices)
    data = dict(job.config["data"])
    with hydras_errors_as_ours(list(overrides)):
        for parsed in OverridesParser.create().parse_overrides(list(overrides)):
            key = parsed.key_or_group.removeprefix("data.")
            known = [name for name in data if not name.startswith("_")]
            if key not in known and not parsed.is_add():
                raise UserError(f"data.{key}: there is no such key. {hint(key, known)}")
            data[key] = parsed.value()
    return replace(job, config={**job.config, "data": data})
