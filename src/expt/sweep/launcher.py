"""Hydra's launcher for sweeps: all jobs are planned and frozen, then trained by workers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from expt.config.compose import Job
from expt.sweep.plan import Plan, PlannedJob

_MODULE = "hydra_plugins.expt"


class Task(Protocol):
    """What `expt.run` hands to Hydra for a sweep."""

    def hash(self, job: Job) -> str:
        """Returns the run hash of a job; its data is loaded, and all is checked."""

    def conduct(self, plan: Plan) -> None:
        """Trains the jobs of a plan."""


class WorkersLauncher(Launcher):
    """Composes and freezes all jobs, writes the plan, and lets workers train them."""

    _context: HydraContext
    _task: Task
    _config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        """Takes what Hydra has."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Trains the jobs; how each stands is in the plan."""
        directory = Path(self._config.hydra.sweep.dir).absolute()
        jobs = [
            self._plan(number, overrides, directory)
            for number, overrides in enumerate(job_overrides, initial_job_idx)
        ]
        plan = Plan(directory, jobs)
        plan.write()
        self._task.conduct(plan)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=None) for _ in jobs]

    def _plan(self, number: int, overrides: Sequence[str], directory: Path) -> PlannedJob:
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        place = directory / config.hydra.sweep.subdir
        hydra, own = (
            config.hydra,
            OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
        )
        job = Job.from_hydra(own, hydra)
        folder = place / ".hydra"
        folder.mkdir(parents=True)
        OmegaConf.save(own, folder / "config.yaml")
        OmegaConf.save(hydra.overrides.task, folder / "overrides.yaml")
        return PlannedJob(place, job, self._task.hash(job))


def register() -> None:
    """Makes the launcher known to Hydra, which finds only what is in its package of plugins."""
    plugins, package = Plugins.instance(), _MODULE.partition(".")[0]
    sys.modules.setdefault(package, ModuleType(package))
    sys.modules[_MODULE] = sys.modules[__name__]
    WorkersLauncher.__module__ = _MODULE
    plugins.register(WorkersLauncher)
