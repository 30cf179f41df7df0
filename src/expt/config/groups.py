"""The groups of `conf/`, their options' contents, and their defaults.

The YAML files are read directly, because Hydra's API returns whole composed configs only.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from expt.config.location import config_directory, options
from expt.errors import UserError


@cache
def top_level() -> Mapping[str, Any]:
    """Returns the content of expt's own `config.yaml`."""
    return _read(config_directory() / "config.yaml")


@cache
def option_values(group: str, option: str | None) -> Mapping[str, Any]:
    """Returns the content of one of expt's own options; empty for any other option."""
    return _read(config_directory() / group / f"{option}.yaml") if option in options(group) else {}


def _read(file: Path) -> Mapping[str, Any]:
    values: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return values


@cache
def groups() -> tuple[str, ...]:
    """Returns the names of expt's own groups, such as `act`."""
    return tuple(path.name for path in sorted(config_directory().iterdir()) if options(path.name))


def is_list_group(group: str) -> bool:
    """Whether a group accepts a list of options, as in `metric=[accuracy,f1]`."""
    return isinstance(_defaults().get(group), list)


def default_option(group: str) -> str | None:
    """Returns the default option of a group; None if it has none, or a list of defaults."""
    option = _defaults().get(group)
    return option if isinstance(option, str) else None


def check_choices(choices: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Checks that no list of options is chosen for a group that accepts a single one.

    Hydra would silently merge all options of the list into one node.

    Args:
        choices: Hydra's choices by group, which lack the groups with a list.
        overrides: The overrides as typed.

    Raises:
        UserError: A list is chosen for such a group.
    """
    # ~experiment deletes a preset's group, which then has no choice either.
    deleted = {one[1:].partition("=")[0] for one in overrides if one.startswith("~")}
    for group in _defaults():
        if group not in choices and not is_list_group(group) and group not in deleted:
            raise UserError(_describe_list(group, overrides))


def _describe_list(group: str, overrides: Sequence[str]) -> str:
    typed = [value for key, _, value in (o.partition("=") for o in overrides) if key == group]
    example, is_preset = _defaults()[group] or options(group)[0], _defaults()[group] is None
    if not typed:
        return (
            f"{group}: a preset or a config chooses a list of options. Expected one option, such "
            f"as override /{group}: {example}. To try several in a sweep: -m {group}=…,…"
        )
    names = [name.strip() for name in typed[-1].strip("[] ").split(",") if name.strip()]
    expected = f"{group}={typed[-1]}: expected one option, not a list."
    if len(names) < 2 or is_preset:
        return f"{expected} Did you mean {group}={names[0] if names else example}?"
    return f"{expected} Did you mean {group}={','.join(names)} with -m, to train one job for each?"


@cache
def _defaults() -> Mapping[str, Any]:
    """Returns the default options by group, from the defaults list of `config.yaml`."""
    return {group: option for entry in _entries() for group, option in entry.items()}


def _entries() -> Iterator[Mapping[str, Any]]:
    for entry in top_level()["defaults"]:
        if isinstance(entry, dict):  # "schema" and "_self_" are plain strings
            yield {key.removeprefix("override "): value for key, value in entry.items()}
