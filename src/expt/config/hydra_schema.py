"""The schema of the config for Hydra: the typed config as OmegaConf nodes."""

from functools import cache

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from expt.config.schema import NODES, Config


def schema() -> DictConfig:
    """Returns the OmegaConf schema that values are merged into."""
    root: DictConfig = OmegaConf.structured(Config)
    # OmegaConf makes nodes of frozen dataclasses read-only, and overrides could not change them.
    OmegaConf.set_readonly(root, None)
    for name, node in NODES.items():
        root[name] = node
        OmegaConf.set_readonly(root[name], None)
    return root


@cache
def register() -> None:
    """Registers the schema with Hydra as `schema`, the first entry of `conf/config.yaml`.

    Once: Hydra's store lives as long as the process, and hands out copies.
    """
    ConfigStore.instance().store(name="schema", node=schema(), provider="schema")
