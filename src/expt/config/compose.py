"""From overrides to composed configs."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from expt.config.grid import expand
from expt.config.groups import check_choices
from expt.config.hydra_errors import hydras_errors_as_ours
from expt.config.instantiate import mappings, targets
from expt.config.location import config_directory
from expt.config.overrides import normalize
from expt.config.paths import expanded
from expt.config.quoting import quoted, unquoted
from expt.config.schema import Config, check_deletions, register
from expt.errors import UserError

_FILE_NAME_LENGTH = 100
_FILE_NAME_BYTES = 200
_HYDRAS_OWN = re.compile(
    r"hydra(\._internal\.core_plugins|_plugins)\.[\w.]+\.\w+(Launcher|Sweeper)"
)


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

    @classmethod
    def from_hydra(cls, config: DictConfig, hydra: DictConfig) -> "Job":
        """Freezes a config composed by Hydra.

        Args:
            config: The config without Hydra's own node.
            hydra: Hydra's own node.
        """
        container = OmegaConf.to_container(
            config, resolve=True, throw_on_missing=True, enum_to_str=True
        )
        assert isinstance(container, dict)
        choices = {
            group: option
            for group, option in hydra.runtime.choices.items()
            if isinstance(option, str) and "/" not in group
        }
        return cls(
            config=Config.from_mapping({str(key): value for key, value in container.items()}),
            choices=choices,
            overrides=tuple(hydra.overrides.task),
        )

    @classmethod
    def current(cls, config: DictConfig) -> "Job":
        """Freezes the config that Hydra has just handed to the task function."""
        return cls.from_hydra(config, cast("DictConfig", HydraConfig.get()))


@dataclass(frozen=True)
class Composed:
    """What Hydra makes of the overrides of one job.

    Attributes:
        job: Resolved and frozen.
        config: The config without Hydra's own node, its interpolations as they stand.
        subdirectory: Of a sweep's directory, where the job goes.
    """

    job: Job
    config: DictConfig
    subdirectory: str

    @classmethod
    def of(
        cls, composed: DictConfig, number: int | None = None, varied: Sequence[str] = ()
    ) -> "Composed":
        """Freezes a config composed by Hydra.

        Args:
            composed: The config with Hydra's own node.
            number: Of the job in its sweep, from 0.
            varied: Those of its overrides that not all jobs have; they name its directory.
        """
        typed: Any = OmegaConf.to_container(composed.hydra.overrides)
        check_choices(composed.hydra.runtime.choices, [*typed["task"], *typed["hydra"]])
        own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        job, subdirectory = Job.from_hydra(own, composed.hydra), ""
        if number is not None:
            with open_dict(composed):
                composed.hydra.job.id = composed.hydra.job.num = number
                if varied:
                    composed.hydra.job.override_dirname = ",".join(map(_plain, varied))
            subdirectory = str(composed.hydra.sweep.subdir)
        return cls(job, own, subdirectory)


def prepare_hydra(config_dir: str | None) -> None:
    """Registers with Hydra what `conf/` refers to, the schema and one resolver, and the folders.

    Args:
        config_dir: A `conf/` folder of the user's own, whose options come before the framework's.

    Raises:
        UserError: It is not there, or holds more than options.
    """
    check_config_dir(config_dir)
    _UsersFolder.folder = None if config_dir is None else _config_dir(config_dir).resolve()
    Plugins.instance().register(_UsersFolder)
    register()
    OmegaConf.register_new_resolver("expt_file_name", _file_name, replace=True)


def compose_jobs(
    overrides: list[str], config_dir: str | None, multirun: bool
) -> tuple[list[Job], DictConfig]:
    """Composes the job, or with `multirun` all the jobs, that the overrides ask for.

    See `compose_whole`, which gives more of each.
    """
    composed, hydra = compose_whole(overrides, config_dir, multirun)
    return [one.job for one in composed], hydra


Begin = Callable[[Job, int, DictConfig], None]
"""Is told of the first job of a sweep, how many there are, and Hydra's own node of the config."""


def compose_whole(
    overrides: list[str], config_dir: str | None, multirun: bool, begin: Begin | None = None
) -> tuple[list[Composed], DictConfig]:
    """Composes the job, or with `multirun` all the jobs, that the overrides ask for.

    Args:
        overrides: As typed, such as `["act=relu,tanh", "seed=0"]`.
        config_dir: A `conf/` folder of the user's own, whose options come before the framework's.
        multirun: Whether `-m` was given; a config may also ask for it by `hydra.mode`.
        begin: Is called once the first job of a sweep is composed; the others take a while.

    Returns:
        The jobs in the order in which Hydra launches them, and Hydra's own node of the config.

    Raises:
        UserError: Something in the overrides or the configs is wrong.
    """
    multirun = multirun or "hydra.mode=MULTIRUN" in overrides
    overrides = normalize(overrides, multirun)
    check_deletions(overrides)
    with hydras_errors_as_ours(overrides), composing(config_dir):
        modes = ["hydra.mode=MULTIRUN"] if multirun else []
        if not multirun:
            config = compose("config", [*overrides, *modes], return_hydra_config=True)
            _refuse_code(config.hydra)
            if not is_multirun(config.hydra):
                return [Composed.of(config)], config.hydra
        fixed = [override for override in overrides if not _sweeps(override)]
        config = compose("config", [*fixed, *modes], return_hydra_config=True)
        _refuse_code(config.hydra)
        expanded, composed = _expand(overrides, config), []
        common = set(expanded[0]).intersection(*expanded)
        for number, one in enumerate(expanded):
            whole = compose("config", [*one, *modes], return_hydra_config=True)
            varied = [override for override in one if override not in common]
            composed.append(Composed.of(whole, number, varied))
            if number == 0 and begin is not None:
                begin(composed[0].job, len(expanded), config.hydra)
        return composed, config.hydra


def _refuse_code(hydra: DictConfig) -> None:
    """Refuses a config that would make Hydra itself call something: callbacks, logging factories.

    Launchers and sweepers are Hydra's or its plugins'.
    """
    node = OmegaConf.to_container(hydra, resolve=False)
    for place, target in targets(node, "hydra"):
        if not _HYDRAS_OWN.fullmatch(target):
            raise UserError(f"{place}._target_={target}: not allowed.")
    for place, mapping in mappings(node, "hydra"):
        if "()" in mapping:  # how Python's logging config names a factory
            raise UserError(f"{place}: the key () is not allowed.")


def is_multirun(hydra: DictConfig) -> bool:
    """Whether Hydra's node of a config asks for a sweep."""
    return hydra.mode is RunMode.MULTIRUN


def _sweeps(override: str) -> bool:
    return OverridesParser.create().parse_override(override).is_sweep_override()


def _expand(overrides: list[str], config: DictConfig) -> list[list[str]]:
    """Returns the overrides of each job, as the grid's sweeper expands them.

    Another sweeper finds its jobs as it goes; then only what is fixed can be checked beforehand.
    """
    sweeper = config.hydra.sweeper
    if not sweeper._target_.endswith(("BasicSweeper", "GridSweeper")):
        return [[override for override in overrides if not _sweeps(override)]]
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    loader = GlobalHydra.instance().config_loader()
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(
        [*normalize(params, multirun=True), *overrides]
    )
    return expand(parsed, config.sweep.zip)


class _UsersFolder(SearchPathPlugin):
    """Lets the options of a user's own `conf/` folder come before the framework's."""

    folder: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.folder is not None:
            search_path.prepend("user", f"file://{self.folder}", SearchPathQuery("main"))


@contextmanager
def composing(config_dir: str | None) -> Iterator[None]:
    """Readies Hydra for composing; see `prepare_hydra`."""
    prepare_hydra(config_dir)
    with initialize_config_dir(str(config_directory()), version_base="1.3", job_name="run"):
        yield


def check_config_dir(config_dir: str | None) -> None:
    """Checks that a user's own `conf/` folder is there and holds options only.

    Raises:
        UserError: It is not, or does not.
    """
    if config_dir is not None and not _config_dir(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder.")
    if config_dir is not None and (_config_dir(config_dir) / "config.yaml").is_file():
        raise UserError(
            f"--config-dir {config_dir}: it holds a config.yaml, which can't replace expt's own. "
            "Move what it sets to experiment/NAME.yaml and choose that by experiment=NAME."
        )


def _config_dir(config_dir: str) -> Path:
    return expanded(config_dir, "--config-dir ")


def directory_override(key: str, directory: Path) -> str:
    """Returns the override that sets a directory of Hydra's, whatever the path's characters."""
    without_interpolation = re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", str(directory))
    return f"{key}={quoted(without_interpolation)}"


def _plain(override: str) -> str:
    """Returns an override without quotes around its value."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{unquoted(value)}"


def _file_name(text: str) -> str:
    """Makes a short file name of a job's overrides; what is cut off or replaced is in `.hydra/`.

    File systems count bytes, of which a letter can have four.
    """
    name = re.sub(r"[^\w.,=+-]", "_", text)[:_FILE_NAME_LENGTH]
    return name.encode()[:_FILE_NAME_BYTES].decode(errors="ignore")
