"""Composition of overrides into the configs of a run or of a sweep's jobs."""

from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from expt.config.deletions import check_deletions
from expt.config.grid import expand
from expt.config.groups import check_choices
from expt.config.hydra_errors import convert_hydra_errors
from expt.config.hydra_groups import GROUPS, check_no_hydra_plugins, replace_hydra_groups
from expt.config.hydra_setup import compose_with_hydra, composing
from expt.config.instantiate import check_calls_nothing
from expt.config.job import ComposedJob, Job
from expt.config.overrides import normalize, parse_override
from expt.config.quoting import unquote
from expt.config.schema import Config
from expt.config.shared_composition import (
    SharedComposition,
    is_independent,
    is_value,
    resolve_overrides,
    to_plain,
    to_resolved,
)


class Composition:
    """The composition of a command line into one job, or into the jobs of a sweep.

    Attributes:
        overrides: The overrides of the command line, in the form that Hydra's grammar accepts.
        config_dir: The user's `conf/` folder, if any.
        hydra: The config's `hydra` node.
        is_sweep: Whether `-m` was given, or `hydra.mode` is MULTIRUN.
    """

    def __init__(
        self, overrides: Sequence[str], config_dir: str | None = None, multirun: bool = False
    ) -> None:
        """Composes the job, or the part of the config that all jobs of the sweep share.

        Args:
            overrides: Overrides as typed, such as `["act=relu,tanh", "seed=0"]`.
            config_dir: The user's `conf/` folder, whose options take precedence over those of
                expt.
            multirun: Whether `-m` was given.

        Raises:
            UserError: The overrides or the configs are invalid.
        """
        # hydra.mode=MULTIRUN is Hydra's other spelling of -m. The mode must be known before the
        # overrides are normalized, since commas in text separate values only in a sweep.
        multirun = multirun or "hydra.mode=MULTIRUN" in overrides
        self.config_dir, self._modes = config_dir, ["hydra.mode=MULTIRUN"] if multirun else []
        self.overrides = replace_hydra_groups(normalize(overrides, multirun), config_dir)
        check_deletions(self.overrides)
        self._shared: dict[tuple[str, ...], SharedComposition] = {}
        with convert_hydra_errors(self.overrides, config_dir):
            # Hydra rejects several values of a key outside its own multirun.
            fixed = [
                one
                for one in self.overrides
                if not (multirun and parse_override(one).is_sweep_override())
            ]
            with composing(config_dir):
                loader = GlobalHydra.instance().config_loader()
                self._groups = frozenset(loader.list_groups(""))
            self._fixed, self._config = fixed, self._compose(fixed)
        self.hydra: DictConfig = self._config.hydra
        self.is_sweep = is_multirun(self.hydra)

    def jobs(self) -> list[ComposedJob]:
        """Composes the job, or all jobs of the sweep's grid.

        Raises:
            UserError: The config of a job is invalid.
        """
        if self.is_sweep:
            return list(self.compose(self.combinations()))
        return [self.first_job()]

    def first_job(self) -> ComposedJob:
        """Composes the job, or the first job of the sweep.

        Raises:
            UserError: A value is missing or can't be resolved.
        """
        if self.is_sweep:
            return next(self.compose(self.combinations()))
        with convert_hydra_errors(self.overrides):
            return _freeze(self._config)

    def first_choices_and_values(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Returns the chosen options and plain values of the first job, for the help text.

        Interpolations are not resolved. Except in a sweep, required values may be missing.

        Raises:
            UserError: In a sweep, a value is invalid or missing.
        """
        if self.is_sweep:
            composed = self.first_job()
            return composed.job.choices, composed.config
        return _choices(self._config), to_plain(self._config)

    @property
    def sweeper(self) -> dict[str, Any]:
        """The config of the sweeper."""
        node: Any = OmegaConf.to_container(self._config.sweeper, resolve=True)
        return dict(node)

    @property
    def fixed_overrides(self) -> list[str]:
        """The overrides with a single value, which all jobs of a sweep share."""
        return list(self._fixed)

    @property
    def swept_keys(self) -> list[str]:
        """The keys that have several values or a range of values."""
        swept = [override for override in self.overrides if override not in self._fixed]
        keys = [override.lstrip("+").partition("=")[0] for override in swept]
        return list(dict.fromkeys([*(self.hydra.sweeper.get("params") or {}), *keys]))

    def combinations(self) -> list[list[str]]:
        """Returns the overrides of each job of a sweep's grid, in Hydra's order.

        Raises:
            UserError: `sweep.zip` does not match the swept values, or two jobs are identical.
        """
        params = self.hydra.sweeper.get("params") or {}
        given = [f"{key}={value}" for key, value in params.items()]
        with convert_hydra_errors(self.overrides), composing(self.config_dir):
            # With a config loader, the parser can expand glob(*) to the options of a group.
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            # The command line comes last, so that its values replace those of a preset.
            values = parser.parse_overrides([*normalize(given, multirun=True), *self.overrides])
            return expand(values, self._config.sweep.zip)

    def compose(self, jobs: Sequence[Sequence[str]], first: int = 0) -> Iterator[ComposedJob]:
        """Composes jobs of a sweep one after another.

        Args:
            jobs: The overrides of each job.
            first: The number in the sweep, from 0, of the first of these jobs.

        Raises:
            UserError: The config of a job is invalid.
        """
        # Overrides that all jobs share would only lengthen the names of the jobs' directories.
        common = set(jobs[0]).intersection(*jobs) if jobs else set()
        for number, overrides in enumerate(jobs, first):
            varied = [_unquote_value(one) for one in overrides if one not in common]
            with convert_hydra_errors(self.overrides, self.config_dir):
                composed = self._compose_job(overrides, number, ",".join(varied))
            yield composed

    def _compose_job(self, overrides: Sequence[str], number: int, varied: str) -> ComposedJob:
        values, rest = self._separate([parse_override(override) for override in overrides])
        config = subdirectory = None
        # Hydra takes about 0.1 s to compose a job, so jobs that differ in values alone share one
        # composition. Where the result might not be exactly Hydra's, Hydra composes the job.
        if varied and is_independent(values, rest, self._groups):
            shared = self._find_shared([str(one.input_line) for one in rest])
            config, subdirectory = shared.with_values(values), shared.subdirectory(number, varied)
        if config is None or subdirectory is None:
            return _freeze(self._compose(overrides), number, varied)
        own = [one for one in overrides if not parse_override(one).is_hydra_override()]
        as_written, values_of_job = config
        job = Job(
            Config.from_mapping(values_of_job),
            shared.choices,
            resolve_overrides(own, values_of_job),
        )
        return ComposedJob(job, as_written, subdirectory)

    def _separate(self, overrides: Sequence[Override]) -> tuple[list[Override], list[Override]]:
        """Separates the overrides that set values from the others."""
        separated: tuple[list[Override], list[Override]] = ([], [])
        for override in overrides:
            separated[0 if is_value(override, self._groups) else 1].append(override)
        return separated

    def _find_shared(self, overrides: Sequence[str]) -> SharedComposition:
        """Returns the composition of some overrides, which is made once and then reused."""
        key = tuple(overrides)
        if key not in self._shared:
            is_known = list(overrides) == self._fixed
            composed = self._config if is_known else self._compose(overrides)
            self._shared[key] = SharedComposition(composed, _choices(composed))
        return self._shared[key]

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        composed = compose_with_hydra([*overrides, *self._modes], self.config_dir)
        typed: Any = OmegaConf.to_container(composed.hydra.overrides)
        check_choices(composed.hydra.runtime.choices, [*typed["task"], *typed["hydra"]])
        check_no_hydra_plugins(composed.hydra.runtime.choices)
        check_calls_nothing(OmegaConf.to_container(composed.hydra, resolve=False), "hydra")
        return composed


def compose_jobs(
    overrides: Sequence[str], config_dir: str | None, multirun: bool
) -> tuple[list[Job], DictConfig]:
    """Composes the job, or with `multirun` all jobs, that the overrides specify.

    Returns:
        The jobs in order, and the config's `hydra` node.

    Raises:
        UserError: The overrides or the configs are invalid.
    """
    composition = Composition(overrides, config_dir, multirun)
    return [one.job for one in composition.jobs()], composition.hydra


def is_multirun(hydra: DictConfig) -> bool:
    """Whether a config's `hydra` node asks for a sweep."""
    return hydra.mode is RunMode.MULTIRUN


def _freeze(composed: DictConfig, number: int | None = None, varied: str = "") -> ComposedJob:
    """Freezes a config composed by Hydra.

    Args:
        composed: The config with its `hydra` node.
        number: The number of the job in its sweep, from 0; None for a single run.
        varied: The overrides that distinguish the job from others; they name its directory.
    """
    config = Config.from_mapping(to_resolved(composed))
    job = Job(config, _choices(composed), tuple(composed.hydra.overrides.task))
    subdirectory = ""
    if number is not None:
        with open_dict(composed):
            composed.hydra.job.id = composed.hydra.job.num = number
            if varied:  # Hydra would name the directory after all overrides of the job
                composed.hydra.job.override_dirname = varied
        subdirectory = str(composed.hydra.sweep.subdir)
    return ComposedJob(job, to_plain(composed), subdirectory)


def _choices(composed: DictConfig) -> dict[str, str]:
    """Returns the option chosen from each group that affects what is trained."""
    return {
        group: option
        for group, option in composed.hydra.runtime.choices.items()
        # A name with a slash is a group of Hydra itself, such as hydra/job_logging. GROUPS, sweeper
        # and launcher, affect only how jobs are started.
        if isinstance(option, str) and "/" not in group and group not in GROUPS
    }


def _unquote_value(override: str) -> str:
    """Returns an override without quotes around its value."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{unquote(value)}"
