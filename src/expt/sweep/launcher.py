"""What Hydra calls for a sweep: a sweeper that knows its jobs already, a launcher with workers."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from expt.config.compose import Composed
from expt.config.grid import expand
from expt.config.overrides import normalize

_MODULE = "hydra_plugins.expt"


class Task(Protocol):
    """What `expt.run` hands to Hydra for a sweep."""

    def composed(self, overrides: Sequence[str]) -> Composed | None:
        """Returns the job of some overrides, if it has been composed and checked."""

    def launch(self, directory: Path, jobs: Sequence[Composed]) -> None:
        """Plans some jobs and trains them."""


class GridSweeper(BasicSweeper):
    """All combinations of the values, but for those of the keys in `sweep.zip`, as one batch."""

    def __init__(self, params: dict[str, str] | None) -> None:
        """Takes values by key, as a config's `hydra.sweeper.params` gives them."""
        super().__init__(max_batch_size=None, params=params)

    def _parse_config(self) -> list[str]:
        """Returns the overrides that the config's `params` stand for."""
        return normalize(super()._parse_config(), multirun=True)

    def split_arguments(  # type: ignore[override]  # a static method there
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Returns the overrides of all jobs."""
        del max_batch_size
        assert self.config is not None
        return [expand(overrides, self.config.sweep.zip)]

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: all jobs have been composed and checked before."""


class WorkersLauncher(Launcher):
    """Hands jobs to `expt.run`, which plans them and lets workers train them."""

    _context: HydraContext
    _task: Task
    _config: DictConfig

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        """Takes what Hydra has."""
        self._context, self._task, self._config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Trains the jobs; how each stands is in the sweep's plan."""
        given = [normalize(overrides, multirun=False) for overrides in job_overrides]
        jobs = [
            self._task.composed(overrides) or self._compose(overrides, number)
            for number, overrides in enumerate(given, initial_job_idx)
        ]
        self._task.launch(Path(self._config.hydra.sweep.dir).absolute(), jobs)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=None) for _ in jobs]

    def _compose(self, overrides: Sequence[str], number: int) -> Composed:
        """Composes a job that a sweeper other than the grid's has found."""
        config = self._context.config_loader.load_sweep_config(self._config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return Composed.of(config, number)


def register() -> None:
    """Makes both known to Hydra, which finds only what is in its package of plugins."""
    plugins, package = Plugins.instance(), _MODULE.partition(".")[0]
    sys.modules.setdefault(package, ModuleType(package))
    sys.modules[_MODULE] = sys.modules[__name__]
    for plugin in (GridSweeper, WorkersLauncher):
        plugin.__module__ = _MODULE
        plugins.register(plugin)
