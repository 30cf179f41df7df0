"""From overrides to composed configs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from expt.config.grid import expand
from expt.config.groups import check_choices
from expt.config.hydra_errors import hydras_errors_as_ours
from expt.config.hydra_setup import compose_with_hydra, composing
from expt.config.instantiate import mappings, targets
from expt.config.overrides import normalize, parsed
from expt.config.own_groups import GROUPS, as_own_groups, check_hydras_own
from expt.config.paths import expanded
from expt.config.quoting import unquoted
from expt.config.schema import Config, check_deletions
from expt.config.shared_composition import (
    SharedComposition,
    in_config,
    is_independent,
    is_value,
    plain,
    resolved,
)
from expt.errors import UserError


@dataclass(frozen=True)
class Job:
    """One composed config, resolved and frozen.

    Attributes:
        config: The values, nested as in `--cfg job`.
        choices: The option taken from each group, such as `{"act": "relu"}`.
        overrides: What the user typed for this job.
        moved_to: The folder of all runs that a recorded job lies in by now, if that is known. Its
            config has the folder of the time, perhaps relative to another working directory.
    """

    config: Config
    choices: dict[str, str]
    overrides: tuple[str, ...]
    moved_to: Path | None = None

    @property
    def output_dir(self) -> Path:
        """The folder of all runs, absolute."""
        if self.moved_to is not None:
            return self.moved_to
        return expanded(self.config.output_dir, "output_dir=").absolute()


@dataclass(frozen=True)
class Composed:
    """What Hydra makes of the overrides of one job.

    Attributes:
        job: Resolved and frozen.
        config: Its config before interpolations are resolved, as plain values.
        subdirectory: Of a sweep's directory, where the job goes.
    """

    job: Job
    config: dict[str, Any]
    subdirectory: str = ""


class Composition:
    """What a command line asks for: one job, or the jobs of a sweep.

    Attributes:
        overrides: The command line's, as Hydra's grammar takes them.
        config_dir: A `conf/` folder of the user's own.
        hydra: Hydra's own node of the config.
        is_sweep: Whether `-m` was given, or a config asks for a sweep by `hydra.mode`.
    """

    def __init__(
        self, overrides: Sequence[str], config_dir: str | None = None, multirun: bool = False
    ) -> None:
        """Composes the job, or what the jobs of the sweep have in common.

        Args:
            overrides: As typed, such as `["act=relu,tanh", "seed=0"]`.
            config_dir: A `conf/` folder of the user's own, whose options come before the
                framework's.
            multirun: Whether `-m` was given.

        Raises:
            UserError: Something in the overrides or the configs is wrong.
        """
        multirun = multirun or "hydra.mode=MULTIRUN" in overrides
        self.config_dir, self._modes = config_dir, ["hydra.mode=MULTIRUN"] if multirun else []
        self.overrides = as_own_groups(normalize(overrides, multirun), config_dir)
        check_deletions(self.overrides)
        self._shared: dict[tuple[str, ...], SharedComposition] = {}
        with hydras_errors_as_ours(self.overrides):
            fixed = [
                one for one in self.overrides if not (multirun and parsed(one).is_sweep_override())
            ]
            with composing(config_dir):
                loader = GlobalHydra.instance().config_loader()
                self._groups = frozenset(loader.list_groups(""))
            self._fixed, self._config = fixed, self._composed(fixed)
        self.hydra: DictConfig = self._config.hydra
        self.is_sweep = is_multirun(self.hydra)

    def jobs(self) -> list[Composed]:
        """Composes the job, or all jobs of the sweep: every combination of the values.

        Raises:
            UserError: One of them is wrong.
        """
        if self.is_sweep:
            return list(self.compose(self.combinations()))
        return [self.first_job()]

    def first_job(self) -> Composed:
        """Composes the job, or the first one of the sweep.

        Raises:
            UserError: A value of it is missing or can't be resolved.
        """
        if self.is_sweep:
            return next(self.compose(self.combinations()))
        with hydras_errors_as_ours(self.overrides):
            return _frozen(self._config)

    def first_choices_and_values(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Returns the options and plain values of the first job, for help.

        Interpolations are as written, and values that the user has to give may be missing.

        Raises:
            UserError: A value of a sweep is wrong.
        """
        if self.is_sweep:
            composed = self.first_job()
            return composed.job.choices, composed.config
        return _choices(self._config), plain(self._config)

    @property
    def sweeper(self) -> dict[str, Any]:
        """The config of the part that chooses the jobs of a sweep."""
        node: Any = OmegaConf.to_container(self._config.sweeper, resolve=True)
        return dict(node)

    @property
    def fixed_overrides(self) -> list[str]:
        """The overrides that all jobs of a sweep have: those of one value."""
        return list(self._fixed)

    @property
    def swept_keys(self) -> list[str]:
        """The keys that have several values, or a range of them."""
        swept = [override for override in self.overrides if override not in self._fixed]
        keys = [override.lstrip("+").partition("=")[0] for override in swept]
        return list(dict.fromkeys([*(self.hydra.sweeper.get("params") or {}), *keys]))

    def combinations(self) -> list[list[str]]:
        """Returns the overrides of each job of a sweep's grid, in Hydra's order.

        Raises:
            UserError: The values can't be combined so.
        """
        params = self.hydra.sweeper.get("params") or {}
        given = [f"{key}={value}" for key, value in params.items()]
        with hydras_errors_as_ours(self.overrides), composing(self.config_dir):
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            values = parser.parse_overrides([*normalize(given, multirun=True), *self.overrides])
            return expand(values, self._config.sweep.zip)

    def compose(self, jobs: Sequence[Sequence[str]], first: int = 0) -> Iterator[Composed]:
        """Composes some jobs of a sweep, one after another.

        Args:
            jobs: The overrides of each.
            first: The number of the first one in the sweep.

        Raises:
            UserError: One of them is wrong.
        """
        common = set(jobs[0]).intersection(*jobs) if jobs else set()
        for number, overrides in enumerate(jobs, first):
            varied = [_plain_text(one) for one in overrides if one not in common]
            with hydras_errors_as_ours(self.overrides):
                composed = self._job(overrides, number, ",".join(varied))
            yield composed

    def _job(self, overrides: Sequence[str], number: int, varied: str) -> Composed:
        values, rest = self._separated([parsed(override) for override in overrides])
        config = subdirectory = None
        if varied and is_independent(values, rest, self._groups):
            shared = self._shared_by([str(one.input_line) for one in rest])
            config, subdirectory = shared.with_values(values), shared.subdirectory(number, varied)
        if config is None or subdirectory is None:
            return _frozen(self._composed(overrides), number, varied)
        own = [one for one in overrides if not parsed(one).is_hydra_override()]
        as_written, values_of_job = config
        job = Job(Config.from_mapping(values_of_job), shared.choices, in_config(own, values_of_job))
        return Composed(job, as_written, subdirectory)

    def _separated(self, overrides: Sequence[Override]) -> tuple[list[Override], list[Override]]:
        """Returns the overrides that set values, and the others."""
        separated: tuple[list[Override], list[Override]] = ([], [])
        for override in overrides:
            separated[0 if is_value(override, self._groups) else 1].append(override)
        return separated

    def _shared_by(self, overrides: Sequence[str]) -> SharedComposition:
        """Returns the composition of the jobs that have some overrides, beside values."""
        key = tuple(overrides)
        if key not in self._shared:
            is_known = list(overrides) == self._fixed
            composed = self._config if is_known else self._composed(overrides)
            self._shared[key] = SharedComposition(composed, _choices(composed))
        return self._shared[key]

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        composed = compose_with_hydra([*overrides, *self._modes], self.config_dir)
        typed: Any = OmegaConf.to_container(composed.hydra.overrides)
        check_choices(composed.hydra.runtime.choices, [*typed["task"], *typed["hydra"]])
        check_hydras_own(composed.hydra.runtime.choices)
        _refuse_code(composed.hydra)
        return composed


def compose_jobs(
    overrides: Sequence[str], config_dir: str | None, multirun: bool
) -> tuple[list[Job], DictConfig]:
    """Composes the job, or with `multirun` all the jobs, that the overrides ask for.

    Returns:
        The jobs in their order, and Hydra's own node of the config.

    Raises:
        UserError: Something in the overrides or the configs is wrong.
    """
    composition = Composition(overrides, config_dir, multirun)
    return [one.job for one in composition.jobs()], composition.hydra


def is_multirun(hydra: DictConfig) -> bool:
    """Whether Hydra's node of a config asks for a sweep."""
    return hydra.mode is RunMode.MULTIRUN


def _frozen(composed: DictConfig, number: int | None = None, varied: str = "") -> Composed:
    """Freezes a config composed by Hydra.

    Args:
        composed: The config with Hydra's own node.
        number: Of the job in its sweep, from 0.
        varied: Those of its overrides that not all jobs have; they name its directory.
    """
    config = Config.from_mapping(resolved(composed))
    job = Job(config, _choices(composed), tuple(composed.hydra.overrides.task))
    subdirectory = ""
    if number is not None:
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
            if varied:
                composed.hydra.job.override_dirname = varied
        subdirectory = str(composed.hydra.sweep.subdir)
    return Composed(job, plain(composed), subdirectory)


def _choices(composed: DictConfig) -> dict[str, str]:
    """Returns the option taken from each group that says what is trained."""
    return {
        group: option
        for group, option in composed.hydra.runtime.choices.items()
        if isinstance(option, str) and "/" not in group and group not in GROUPS
    }


def _refuse_code(hydra: DictConfig) -> None:
    """Refuses a config that would make Hydra itself call something: callbacks, log factories."""
    node = OmegaConf.to_container(hydra, resolve=False)
    for place, target in targets(node, "hydra"):
        raise UserError(f"{place}._target_={target}: not allowed.")
    for place, mapping in mappings(node, "hydra"):
        if "()" in mapping:  # how Python's logging config names a factory
            raise UserError(f"{place}: the key () is not allowed.")


def _plain_text(override: str) -> str:
    """Returns an override without quotes around its value."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{unquoted(value)}"
