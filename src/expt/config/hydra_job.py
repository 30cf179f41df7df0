"""Application of a config's `hydra` node to a run: files, logging, environment and folder."""

import os
import re
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from hydra.core.utils import configure_log, env_override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from expt.config.frozen import CONFIG_FILE, ConfigWriter
from expt.config.job import ComposedJob


@contextmanager
def hydra_job(composed: ComposedJob, node: DictConfig, directory: Path) -> Iterator[None]:
    """Sets up a run as `hydra.main`, which expt does not use, sets up its jobs.

    Writes `.hydra/` into the run's directory and configures logging by `hydra.job_logging`. Inside
    the `with` block, `hydra.job.env_set` and `hydra.job.chdir` are in effect.

    Args:
        composed: The job of the run.
        node: The `hydra` node of the job's config.
        directory: The run's directory, which must exist.
    """
    absolute = _without_interpolation(directory.absolute())
    with read_write(node), open_dict(node):
        node.mode = RunMode.RUN
        node.run.dir = _without_interpolation(directory)
        node.runtime.output_dir = absolute
    typed: Any = OmegaConf.to_container(node.overrides.task, resolve=False)
    ConfigWriter().write(directory, composed.config, typed)
    plain = OmegaConf.to_container(node, resolve=False, enum_to_str=True)
    text = OmegaConf.to_yaml(OmegaConf.create({"hydra": plain}))
    (directory / CONFIG_FILE).with_name("hydra.yaml").write_text(text, encoding="utf-8")
    configure_log(node.job_logging, node.verbose)
    with env_override(node.job.env_set), chdir(directory) if node.job.chdir else nullcontext():
        yield


def _without_interpolation(path: Path) -> str:
    # The name of a folder may contain "${", which OmegaConf would interpolate.
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", os.fspath(path))
