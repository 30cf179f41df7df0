"""The text of `--help`: groups, options, and the keys of the chosen parts with their meaning."""

import os
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra

from expt.config.compose import Composition
from expt.config.groups import is_list_group
from expt.config.hydra_setup import composing
from expt.config.location import config_directory
from expt.config.paths import expand_path
from expt.config.reference import (
    Option,
    first_sentence,
    group_meaning,
    read_option,
    read_top_level,
    yaml_text,
)

_WIDTH = 100
_MOST_KEY_COLUMNS = 42
_NO_LIMIT = 10**6


def help_text(composition: Composition, args: Namespace, groups: Sequence[str] = ()) -> str:
    """Returns the help for a command line: all of it, or of the options that it names alone.

    Args:
        composition: Of the overrides; of a sweep, its first job is shown.
        args: The command line, with `overrides`, `config_dir` and `resolve`.
        groups: The groups that are named without an option, whose options are listed.

    Raises:
        UserError: A value is missing or can't be resolved.
    """
    choices, values = composition.first_choices_and_values()
    if args.resolve:
        values = composition.first_job().job.config.to_mapping()
    parts = _Parts(choices, values, args.config_dir)
    typed = [one.partition("=")[0] for one in args.overrides]
    named = [group for group in dict.fromkeys(typed) if group in parts.groups]
    if not named and not groups:
        return "\n".join(_of_all(composition, parts))
    named = list(dict.fromkeys([*groups, *named]))
    return "\n".join([*_of_groups(parts, groups), *_of_named(parts, named)])


def _of_groups(parts: "_Parts", groups: Sequence[str]) -> Iterator[str]:
    for group in groups:
        yield f"{group}: {group_meaning(group)}".rstrip(": ")
        yield from parts.options(group)
        yield ""


def _of_named(parts: "_Parts", named: Sequence[str]) -> Iterator[str]:
    for group in named:
        yield from parts.lines(group)
    yield "python -m expt.run --help shows all groups, options and keys."


def _of_all(composition: Composition, parts: "_Parts") -> Iterator[str]:
    yield str(composition.hydra.help.header)
    yield from ("", "Groups and their options (choose with group=option)", "")
    for group, options in parts.groups.items():
        yield from _wrapped(f"{group}: {', '.join(options)}", "    ")
    yield from ("", "Keys of the chosen options (change with key=value)", "")
    meanings = {key.name: key.meaning for key in read_top_level()}
    nodes = {name: value for name, value in parts.values.items() if name not in parts.groups}
    yield from _rows(_flat(nodes), meanings)
    yield ""
    for group in parts.groups:
        yield from parts.lines(group)
    yield str(composition.hydra.help.footer)


class _Parts:
    """The chosen options of a composed config.

    Attributes:
        groups: The options of each group, those of the user's folder included.
        values: The config.
    """

    def __init__(
        self, choices: Mapping[str, str], values: Mapping[str, Any], config_dir: str | None
    ) -> None:
        self._choices, self.values = choices, values
        own = [] if config_dir is None else [expand_path(config_dir, "--config-dir ")]
        self._folders = [*own, config_directory()]
        self.groups = _groups(config_dir)

    def options(self, group: str) -> Iterator[str]:
        """Yields the options of a group with their meanings."""
        names = self.groups[group]
        column = max(map(len, names), default=0) + 4
        for name in names:
            meaning = first_sentence(_meaning(self._option(group, name)))
            yield from _wrapped(f"{f'  {name}':<{column}}{meaning}".rstrip(), " " * column)

    def lines(self, group: str) -> Iterator[str]:
        """Yields what is chosen of a group, with its keys."""
        node = self.values.get(group)
        if is_list_group(group):
            chosen = dict(node or {})
        else:
            chosen = {self._choices[group]: node} if group in self._choices else {}
        for name, inner in chosen.items():
            option = self._option(group, name)
            meaning = _meaning(option)
            yield from _wrapped(f"{group}={name}: {meaning}".rstrip(": "), "    ")
            prefix = f"{group}.{name}." if is_list_group(group) else f"{group}."
            known = {f"{prefix}{key.name}": key.meaning for key in option.keys} if option else {}
            yield from _rows(_flat(inner or {}, prefix), known)
            yield ""

    def _option(self, group: str, name: str) -> Option | None:
        for folder in self._folders:
            file: Path = folder / group / f"{name}.yaml"
            if file.is_file():
                return read_option(group, file)
        return None


def _meaning(option: Option | None) -> str:
    """Returns what an option is; of a preset also what it sets."""
    if option is None:
        return ""
    sets = " ".join(f"{key}={value}" for key, value in option.sets.items())
    return (
        f"{first_sentence(option.meaning)} It sets {sets}"
        if sets
        else first_sentence(option.meaning)
    )


def _groups(config_dir: str | None) -> dict[str, list[str]]:
    with composing(config_dir):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        names = [name for name in hydra.list_all_config_groups() if name.split("/")[0] != "hydra"]
        loader = hydra.config_loader
        return {name: loader.get_group_options(name) for name in sorted(names)}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str | None]:
    """Returns the values by full key; None is a mapping, whose keys follow."""
    rows: dict[str, str | None] = {}
    for key, value in values.items():
        if str(key).startswith("_"):
            continue
        is_mapping = isinstance(value, Mapping) and bool(value)
        rows[f"{prefix}{key}"] = None if is_mapping else yaml_text(value)
        if is_mapping:
            rows |= _flat(value, f"{prefix}{key}.")
    return rows


def _rows(values: Mapping[str, str | None], meanings: Mapping[str, str]) -> Iterator[str]:
    """Yields the keys with their values, and in a second column their meanings."""
    rows = [
        (
            f"  {key}:" if value is None else f"  {key}: {value}",
            first_sentence(meanings.get(key, "")),
        )
        for key, value in values.items()
    ]
    fitting = [len(row) for row, _ in rows if len(row) <= _MOST_KEY_COLUMNS]
    column = max(fitting, default=0) + 2
    for row, meaning in rows:
        if not meaning:
            yield row
        elif len(row) <= column - 2:
            yield from _wrapped(f"{row:<{column}}{meaning}", " " * column)
        else:
            yield from [row, *_wrapped(f"{'':<{column}}{meaning}", " " * column)]


def _wrapped(text: str, indent: str) -> list[str]:
    """Wraps a line for a terminal; in a pipe it stays whole, so that it can be searched."""
    return textwrap.wrap(
        text, _width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _width() -> int:
    if not os.environ.get("COLUMNS", "").isdecimal() and not sys.stdout.isatty():
        return _NO_LIMIT
    return min(shutil.get_terminal_size().columns, _WIDTH)
