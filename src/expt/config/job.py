"""The composed config of a job."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.config.paths import expand_path
from expt.config.schema import Config


@dataclass(frozen=True)
class Job:
    """The composed config of a run, resolved and frozen.

    Attributes:
        config: The values, nested as in `--cfg job`.
        choices: The option chosen from each group, such as `{"act": "relu"}`.
        overrides: The user's overrides for this job.
        current_output_dir: The folder of all runs that contains a recorded job now, if known. The
            recorded `output_dir` may be outdated, or relative to another working directory.
    """

    config: Config
    choices: dict[str, str]
    overrides: tuple[str, ...]
    current_output_dir: Path | None = None

    @property
    def output_dir(self) -> Path:
        """The absolute path of the folder of all runs."""
        if self.current_output_dir is not None:
            return self.current_output_dir
        return expand_path(self.config.output_dir, "output_dir=").absolute()


@dataclass(frozen=True)
class ComposedJob:
    """A job, together with its config as written.

    Attributes:
        job: The job, resolved and frozen.
        config: The job's config as plain values with unresolved interpolations. This is the form
            that `.hydra/config.yaml` records, since a resolved `${oc.env:…}` could be a secret.
        subdirectory: The job's directory relative to that of its sweep; empty for a single run.
    """

    job: Job
    config: dict[str, Any]
    subdirectory: str = ""
