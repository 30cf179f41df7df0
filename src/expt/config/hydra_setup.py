"""Readies Hydra's compose API: the folders of options, the schema, one resolver."""

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

from expt.config.location import config_directory
from expt.config.paths import expanded
from expt.config.schema import register
from expt.errors import UserError

_FILE_NAME_LENGTH = 100
_FILE_NAME_BYTES = 200


@contextmanager
def composing(config_dir: str | None) -> Iterator[None]:
    """Lets Hydra compose the configs of `conf/`.

    Args:
        config_dir: A `conf/` folder of the user's own, whose options come before the framework's.

    Raises:
        UserError: It is not there, or holds more than options.
    """
    prepare_hydra(config_dir)
    with initialize_config_dir(str(config_directory()), version_base="1.3", job_name="run"):
        yield


def compose_with_hydra(overrides: list[str], config_dir: str | None) -> DictConfig:
    """Returns what Hydra composes of some overrides, with Hydra's own node."""
    with composing(config_dir):
        return compose("config", overrides, return_hydra_config=True)


def prepare_hydra(config_dir: str | None) -> None:
    """Registers with Hydra what `conf/` refers to, the schema and one resolver, and the folders.

    See `composing`.
    """
    check_config_dir(config_dir)
    _UsersFolder.folder = None if config_dir is None else _config_dir(config_dir).resolve()
    Plugins.instance().register(_UsersFolder)
    register()
    OmegaConf.register_new_resolver("expt_file_name", file_name, replace=True)


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


class _UsersFolder(SearchPathPlugin):
    """Lets the options of a user's own `conf/` folder come before the framework's."""

    folder: ClassVar[Path | None] = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.folder is not None:
            search_path.prepend("user", f"file://{self.folder}", SearchPathQuery("main"))


def file_name(text: str) -> str:
    """Makes a short file name of a job's overrides; what is cut off or replaced is in `.hydra/`.

    File systems count bytes, of which a letter can have four.
    """
    name = re.sub(r"[^\w.,=+-]", "_", text)[:_FILE_NAME_LENGTH]
    return name.encode()[:_FILE_NAME_BYTES].decode(errors="ignore")
