"""Sharing of one Hydra composition between the jobs of a sweep that differ in values alone.

Hydra merges the chosen options first, and then sets the overridden values in the order in which
they were given. This module repeats only the setting of values whose keys exist, which is much
faster than composing. It returns None in all other cases, in which Hydra composes the job.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from expt.config.hydra_setup import file_name

Plain = dict[str, Any]

_OVERRIDES = "overrides of the job"
_DIRNAME = "${hydra.job.override_dirname}"
_FILE_NAME = f"${{expt_file_name:{_DIRNAME}}}"
_REFERENCES = re.compile(
    rf"\$\{{hydra\.job\.(?:num|id)\}}|{re.escape(_FILE_NAME)}|{re.escape(_DIRNAME)}"
)
"""The references in `hydra.sweep.subdir` that can be replaced without Hydra."""


def is_value(override: Override, groups: frozenset[str]) -> bool:
    """Whether an override sets one value of the config outside its `hydra` node, as `seed=1` does.

    Args:
        override: An override of one job, with a single value.
        groups: The names of all groups.
    """
    key = override.key_or_group
    is_change = not (override.is_delete() or override.is_add() or override.is_force_add())
    is_own = "/" not in key and key not in groups and key.partition(".")[0] != "hydra"
    is_plain = is_change and is_own and override.package is None
    # Hydra merges a mapping into the node, instead of replacing it.
    return is_plain and not isinstance(override.value(), dict)


def is_independent(
    values: Sequence[Override], others: Sequence[Override], groups: frozenset[str]
) -> bool:
    """Whether setting values after all other overrides, in any order, yields the same config.

    Args:
        values: The overrides for which `is_value` is true.
        others: The other overrides of the job.
        groups: The names of all groups.
    """
    keys = [f"{override.key_or_group}." for override in values]
    other_keys = [  # without the choices of groups, which Hydra itself always applies first
        f"{override.key_or_group}."
        for override in others
        if override.key_or_group not in groups or isinstance(override.value(), dict)
    ]
    return len(set(keys)) == len(keys) and not any(
        key.startswith(other) or other.startswith(key) for key in keys for other in other_keys
    )


@dataclass(frozen=True)
class _Value:
    """A value that an override sets, converted to the type in the schema, and its path."""

    path: tuple[str, ...]
    value: Any


class SharedComposition:
    """A composed config in which values are set as Hydra sets them.

    Attributes:
        choices: The option chosen from each group.
    """

    def __init__(self, composed: DictConfig, choices: dict[str, str]) -> None:
        """Copies a config that Hydra composed, with its `hydra` node."""
        self.choices = choices
        self._own = copy.deepcopy(composed)
        with open_dict(self._own):
            del self._own["hydra"]
        self._plain = to_plain(self._own)
        # OmegaConf converts a value to the type of its key. Values are set here one after another
        # to find their converted form, and what else this changes is never read.
        self._scratch = copy.deepcopy(self._own)
        self._has_references = _contains_text(self._plain, "${")
        self._missing = frozenset(_missing_paths(self._plain))
        self._values: dict[str, _Value | None] = {}
        sweep: Any = OmegaConf.to_container(composed.hydra.sweep, resolve=False)
        self._subdirectory = str(sweep["subdir"])

    def with_values(self, overrides: Sequence[Override]) -> tuple[Plain, Plain] | None:
        """Returns the config of a job with some values set, without its `hydra` node.

        Nodes that no override changes are shared with other jobs, and must not be modified.

        Args:
            overrides: Overrides for which `is_value` is true, with different keys.

        Returns:
            The config with unresolved and with resolved interpolations, or None if only Hydra can
            compose it or report the error.
        """
        values = [self._converted(override) for override in overrides]
        if any(value is None for value in values):
            return None
        changes = [value for value in values if value is not None]
        config = self._plain
        for change in changes:
            config = _with_value(config, change.path, change.value)
        if self._missing - {change.path for change in changes}:
            return None  # Hydra raises the error
        if self._has_references or any(_contains_text(change.value, "${") for change in changes):
            return self._resolved(config, overrides)
        return config, config

    def subdirectory(self, number: int, varied: str) -> str | None:
        """Returns the directory of a job relative to that of its sweep.

        Args:
            number: The number of the job, from 0.
            varied: The job's overrides that not all jobs share.

        Returns:
            The directory, or None if only Hydra can resolve its template.
        """
        # Other interpolations, escapes and a missing template are left to Hydra.
        rest = _REFERENCES.sub("", self._subdirectory)
        if re.search(r"[$\\]|^\?\?\?$", rest) or re.search(r"[$\\]", varied):
            return None
        names = {_DIRNAME: varied, _FILE_NAME: file_name(varied)}
        return _REFERENCES.sub(
            lambda reference: names.get(reference[0], str(number)), self._subdirectory
        )

    def _resolved(self, config: Plain, overrides: Sequence[Override]) -> tuple[Plain, Plain] | None:
        # An interpolation may refer to any of the values, so the whole config is resolved again.
        own = copy.deepcopy(self._own)
        try:
            for override in overrides:
                OmegaConf.update(own, override.key_or_group, override.value(), merge=True)
            return config, to_resolved(own)
        except (OmegaConfBaseException, ValueError):
            return None

    def _converted(self, override: Override) -> _Value | None:
        line = str(override.input_line)
        if line not in self._values:
            self._values[line] = self._convert(override)
        return self._values[line]

    def _convert(self, override: Override) -> _Value | None:
        """Returns the converted value of an override; None if only Hydra can set it."""
        path = tuple(override.key_or_group.split("."))
        node: Any = self._plain
        for key in path[:-1]:
            node = node.get(key) if isinstance(node, dict) else None
        if not isinstance(node, dict) or path[-1] not in node or isinstance(node[path[-1]], dict):
            return None
        given = override.value()
        try:
            OmegaConf.update(self._scratch, override.key_or_group, given, merge=True)
            if _contains_text(given, "${"):  # resolved later, in the config of the job
                return _Value(path, given)
            changed: Any = self._scratch
            for key in path:
                changed = changed[key]
        except (OmegaConfBaseException, ValueError, TypeError):
            return None  # Hydra raises its own error
        if isinstance(changed, ListConfig):
            changed = OmegaConf.to_container(changed, resolve=False, enum_to_str=True)
        if isinstance(changed, Enum):
            changed = changed.name
        return None if _missing_paths(changed) else _Value(path, changed)


def to_plain(config: DictConfig) -> Plain:
    """Returns a config as plain values with unresolved interpolations, without its `hydra` node."""
    container = OmegaConf.to_container(_without_hydra(config), resolve=False, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def to_resolved(config: DictConfig) -> Plain:
    """Returns a config as plain values with resolved interpolations, without its `hydra` node.

    Raises:
        OmegaConfBaseException: A value is missing, or an interpolation can't be resolved.
    """
    container = OmegaConf.to_container(
        _without_hydra(config), resolve=True, throw_on_missing=True, enum_to_str=True
    )
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def resolve_overrides(overrides: Sequence[str], config: Plain) -> tuple[str, ...]:
    """Returns overrides with interpolations resolved in a config, as in `hydra.overrides.task`."""
    if not any("${" in override for override in overrides):
        return tuple(overrides)
    return tuple(OmegaConf.create({**config, _OVERRIDES: list(overrides)})[_OVERRIDES])


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _with_value(node: Plain, path: Sequence[str], value: Any) -> Plain:
    first, *rest = path
    return {**node, first: _with_value(node[first], rest, value) if rest else value}


def _contains_text(node: Any, text: str) -> bool:
    if isinstance(node, Mapping):
        return any(_contains_text(value, text) for value in node.values())
    if isinstance(node, list):
        return any(_contains_text(value, text) for value in node)
    return isinstance(node, str) and text in node


def _missing_paths(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Returns the paths of missing values, `???`; for those inside a list, the path of the list."""
    if isinstance(node, Mapping):
        return [
            one for key, value in node.items() for one in _missing_paths(value, (*path, str(key)))
        ]
    if isinstance(node, list):
        return [path for value in node if _missing_paths(value)]
    return [path] if node == "???" else []
