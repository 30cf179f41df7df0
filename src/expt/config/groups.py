"""The groups of `conf/`: their defaults, and which of them take one option or several."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from expt.config.location import config_directory, options
from expt.errors import UserError


@cache
def top_level() -> Mapping[str, Any]:
    """Returns the content of the framework's `config.yaml`."""
    return _read(config_directory() / "config.yaml")


@cache
def option_values(group: str, option: str | None) -> Mapping[str, Any]:
    """Returns the content of one of the framework's options; empty for any other."""
    return _read(config_directory() / group / f"{option}.yaml") if option in options(group) else {}


def _read(file: Path) -> Mapping[str, Any]:
    values: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return values


@cache
def groups() -> tuple[str, ...]:
    """Returns the names of the framework's groups, such as `act`."""
    return tuple(path.name for path in sorted(config_directory().iterdir()) if options(path.name))


def is_list_group(group: str) -> bool:
    """Whether a group takes a list of options, as `metric=[accuracy,f1]`."""
    return isinstance(_defaults().get(group), list)


def default_option(group: str) -> str | None:
    """Returns the option that a group has by default; None for one without, or with several."""
    option = _defaults().get(group)
    return option if isinstance(option, str) else None


def check_choices(choices: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Checks that each group that takes one option has one; of a list, Hydra merges all.

    Args:
        choices: Hydra's, by group; those that were given a list are missing.
        overrides: As typed.

    Raises:
        UserError: A group has a list.
    """
    deleted = {one[1:].partition("=")[0] for one in overrides if one.startswith("~")}
    for group in _defaults():
        if group not in choices and not is_list_group(group) and group not in deleted:
            raise UserError(_refused(group, overrides))


def _refused(group: str, overrides: Sequence[str]) -> str:
    typed = [value for key, _, value in (o.partition("=") for o in overrides) if key == group]
    example, is_preset = _defaults()[group] or options(group)[0], _defaults()[group] is None
    if not typed:
        return (
            f"{group}: a preset or a config chooses a list of options; expected one option, such "
            f"as override /{group}: {example}. A sweep tries several: -m {group}=…,…"
        )
    names = [name.strip() for name in typed[-1].strip("[] ").split(",") if name.strip()]
    expected = f"{group}={typed[-1]}: expected one option, not a list."
    if len(names) < 2 or is_preset:
        return f"{expected} Did you mean {group}={names[0] if names else example}?"
    return f"{expected} Did you mean {group}={','.join(names)} with -m, to train a job with each?"


@cache
def _defaults() -> Mapping[str, Any]:
    """The default options of the groups, from the defaults list of `config.yaml`."""
    return {group: option for entry in _entries() for group, option in entry.items()}


def _entries() -> Iterator[Mapping[str, Any]]:
    for entry in top_level()["defaults"]:
        if isinstance(entry, dict):
            yield {key.removeprefix("override "): value for key, value in entry.items()}
