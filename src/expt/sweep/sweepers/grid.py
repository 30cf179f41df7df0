"""The grid: all combinations of the values, but for those of the keys in `sweep.zip`."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from expt.config.grid import expand
from expt.config.overrides import normalize
from expt.sweep.jobs import JobOutcome, PlannedJob


class GridSweeper:
    """Asks once, for all jobs."""

    def __init__(
        self,
        *,
        overrides: Sequence[str],
        zipped: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Makes a sweeper; nothing is expanded yet.

        Args:
            overrides: As typed, such as `["act=relu,tanh", "seed=0"]`.
            zipped: The keys whose values go in step, as in `sweep.zip`.
            params: More values by key, such as `{"act": "relu,tanh"}`; what is typed wins.
        """
        given = [f"{key}={value}" for key, value in (params or {}).items()]
        self._overrides = [*normalize(given, multirun=True), *overrides]
        self._zipped = zipped
        self._has_asked = False

    def ask(self) -> list[list[str]] | None:
        """Returns the overrides of all jobs, then None.

        Hydra must be initialized: a glob chooses among the options that it finds.
        """
        if self._has_asked:
            return None
        self._has_asked = True
        loader = GlobalHydra.instance().config_loader()
        parser = OverridesParser.create(config_loader=loader)
        return expand(parser.parse_overrides(self._overrides), self._zipped)

    def tell(self, job: PlannedJob, outcome: JobOutcome) -> None:
        """Does nothing: no job depends on another one."""

    def restore(self, jobs: Sequence[PlannedJob]) -> None:
        """Asks for no more: all jobs are planned."""
        self._has_asked = self._has_asked or bool(jobs)
