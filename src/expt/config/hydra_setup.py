"""Set-up of Hydra's compose API: the folders of options, the schema and a resolver."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf

from expt.config.hydra_schema import register
from expt.config.location import config_directory
from expt.config.paths import expand_path
from expt.errors import UserError

_FILE_NAME_LENGTH = 100
_FILE_NAME_BYTES = 200


@contextmanager
def composing(config_dir: str | None) -> Iterator[None]:
    """Initializes Hydra for composing the configs of `conf/` in a `with` block.

    Args:
        config_dir: The user's `conf/` folder, whose options take precedence over those of expt.

    Raises:
        UserError: The folder does not exist, or has a config.yaml.
    """
    prepare_hydra(config_dir)
    with initialize_config_dir(str(config_directory()), version_base="1.3", job_name="run"):
        yield


def compose_with_hydra(overrides: list[str], config_dir: str | None) -> DictConfig:
    """Returns the config that Hydra composes from some overrides, with its `hydra` node."""
    with composing(config_dir):
        return compose("config", overrides, return_hydra_config=True)


def prepare_hydra(config_dir: str | None) -> None:
    """Registers the schema, the resolver and the user's folder with Hydra.

    Args:
        config_dir: As for `composing`.

    Raises:
        UserError: As for `composing`.
    """
    check_config_dir(config_dir)
    _UsersFolder.folder = None if config_dir is None else _config_dir(config_dir).resolve()
    Plugins.instance().register(_UsersFolder)
    register()
    OmegaConf.register_new_resolver("expt_file_name", file_name, replace=True)


def check_config_dir(config_dir: str | None) -> None:
    """Checks that the user's `conf/` folder exists and has no config.yaml.

    Raises:
        UserError: The folder does not exist, or has a config.yaml.
    """
    if config_dir is not None and not _config_dir(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder.")
    if config_dir is not None and (_config_dir(config_dir) / "config.yaml").is_file():
        raise UserError(
            f"--config-dir {config_dir}: the folder has a config.yaml, which can't replace that of "
            "expt. Move its settings to experiment/NAME.yaml, and select it with experiment=NAME."
        )


def _config_dir(config_dir: str) -> Path:
    return expand_path(config_dir, "--config-dir ")


class _UsersFolder(SearchPathPlugin):
    """Hydra plugin that puts the user's `conf/` folder before that of expt.

    Hydra appends the folder of its own `--config-dir` to the search path, where it could add
    options but not replace any.
    """

    # Hydra instantiates plugins itself, without arguments.
    folder: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.folder is not None:
            search_path.prepend("user", f"file://{self.folder}", SearchPathQuery("main"))


def file_name(text: str) -> str:
    """Converts a job's overrides to a short file name of at most 100 characters and 200 bytes.

    Characters that are not safe in file names become underscores. The exact overrides are recorded
    in `.hydra/overrides.yaml`.
    """
    name = re.sub(r"[^\w.,=+-]", "_", text)[:_FILE_NAME_LENGTH]
    # File systems limit names to 255 bytes, and a character takes up to four.
    return name.encode()[:_FILE_NAME_BYTES].decode(errors="ignore")
