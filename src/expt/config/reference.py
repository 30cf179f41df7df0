"""The groups, options and keys of the config as data: type, default and meaning of each.

`--help` and the reference pages show it. It is read from the yaml files, their comments, and the
source of the constructors, so that it can't disagree with them; no part is imported.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from expt.config.comments import Comments, read_comments
from expt.config.constructors import (
    Argument,
    Constructor,
    find_name,
    read_constructor,
    without_type_and_default,
)
from expt.config.flatten import flatten
from expt.config.groups import default_option, is_list_group, top_level
from expt.config.hooks import EVERY_KEY
from expt.config.instantiate import ACCUMULATION_KEY, DECAY_KEY, HORIZON_KEY
from expt.config.location import config_directory
from expt.config.type_names import type_name

_OF_FRAMEWORK = {
    ("hook", EVERY_KEY): (
        "int, str or null",
        "How often the hook is called: a number of steps (`500`) or of epochs (`1ep`).",
    ),
    ("probe", EVERY_KEY): (
        "int, str or null",
        "How often the probe looks: every number of steps (`500`) or of epochs (`1ep`), and before "
        "the first step and after the last one.",
    ),
    ("optimizer", ACCUMULATION_KEY): ("int or null", ""),
    ("optimizer", DECAY_KEY): ("bool", ""),
    ("schedule", HORIZON_KEY): ("int or null", ""),
}
"""The type, and where no comment says it the meaning, of keys that the framework takes off a part.

No constructor has them as an argument, or it has one of another meaning.
"""
_SCHEMA = "expt.config.schema"
_PRESETS = ("experiment", "debug")
_TYPED_NODES = {"loop": "Loop", "sweep": "Sweep", "": "Config"}
_NO_PARTS = ("defaults", "hydra")
_CLASS_IN_TEXT = re.compile(r"`([A-Z]\w+)`")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-ÞΑ-Ω`])")

_CONSTANTS = {"None": "null", "True": "true", "False": "false"}
_CONSTANT = re.compile(rf"\b(?:{'|'.join(_CONSTANTS)})\b")


@dataclass(frozen=True)
class Key:
    """A key of an option.

    Attributes:
        name: As below the option's node, such as `units` or `augment.flip`.
        type: As a reader of YAML knows it, such as `list of int`.
        default: The value in `conf/`, as YAML on one line; empty if the key has keys itself.
        meaning: What the key does; empty if nothing says it.
        has_keys: Whether the keys `NAME.…` follow.
    """

    name: str
    type: str
    default: str
    meaning: str
    has_keys: bool = False


@dataclass(frozen=True)
class Option:
    """An option of a group.

    Attributes:
        group: The group's name.
        name: The option's, such as `cnn`.
        meaning: What it is.
        target: What its `_target_` names; empty for a preset and for the loop.
        keys: Its keys, without those that begin with an underscore.
        sets: Of a preset, the options that it chooses and the values that it sets, by full key.
    """

    group: str
    name: str
    meaning: str
    target: str
    keys: tuple[Key, ...]
    sets: Mapping[str, str]

    @property
    def node(self) -> str:
        """Where its keys are in the config, such as `model` or `metric.f1`."""
        return f"{self.group}.{self.name}" if is_list_group(self.group) else self.group


@dataclass(frozen=True)
class Group:
    """A group of options.

    Attributes:
        name: As on the command line.
        meaning: What is chosen by it.
        default: The options that are chosen by default.
        options: All of them.
    """

    name: str
    meaning: str
    default: tuple[str, ...]
    options: tuple[Option, ...]


def read_group(name: str, folders: Sequence[Path] = ()) -> Group:
    """Returns a group with the options that some folders have of it.

    Args:
        name: Such as `act`.
        folders: `conf/` folders, of which earlier ones win; without any, the framework's own.
    """
    files: dict[str, Path] = {}
    for folder in folders or (config_directory(),):
        for file in sorted((folder / name).glob("*.yaml")):
            files.setdefault(file.stem, file)
    options = tuple(read_option(name, files[option]) for option in sorted(files))
    return Group(name, group_meaning(name), _default(name), options)


def group_meaning(name: str) -> str:
    """Returns what is chosen by one of the framework's groups; empty if nothing says it."""
    comment = _own_comments().keys.get(f"defaults.{name}", "")
    return comment or _typed_node("").arguments.get(name, Argument()).meaning


@cache
def read_option(group: str, file: Path) -> Option:
    """Returns what the file of an option says, and the source of its constructor."""
    values: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    comments = read_comments(file)
    target = str(values.get("_target_", ""))
    constructor = _typed_node(group) if group in _TYPED_NODES else read_constructor(target)
    is_preset = group in _PRESETS
    return Option(
        group,
        file.stem,
        comments.header or (constructor.summary if constructor else ""),
        target,
        () if is_preset else tuple(_keys(group, values, comments, constructor)),
        _sets(values) if is_preset else {},
    )


def read_top_level() -> tuple[Key, ...]:
    """Returns the keys that are in no group: `name`, `seed`, `output_dir` and those of `sweep`."""
    values = {key: value for key, value in top_level().items() if key not in _NO_PARTS}
    sweep = values.pop("sweep")
    comments, inner = _own_comments(), _typed_node("sweep")
    meaning = comments.keys.get("sweep", "") or inner.summary
    return (
        *_keys("", values, comments, _typed_node("")),
        Key("sweep", "mapping", "", meaning, has_keys=True),
        *_keys("", sweep, comments, inner, "sweep."),
    )


def first_sentence(text: str) -> str:
    """Returns the first sentence of a meaning."""
    return _SENTENCE_END.split(text, maxsplit=1)[0]


def yaml_text(value: Any) -> str:
    """Returns a value as YAML on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10**6
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _keys(
    group: str,
    values: Mapping[str, Any],
    comments: Comments,
    constructor: Constructor | None,
    prefix: str = "",
) -> Iterator[Key]:
    """Yields the keys of a node, each mapping before its own keys."""
    for key, value in values.items():
        if str(key).startswith("_"):
            continue
        argument = constructor.arguments.get(key, Argument()) if constructor else Argument()
        name, has_keys = f"{prefix}{key}", isinstance(value, dict) and bool(value)
        kind, usual = _OF_FRAMEWORK.get((group, name), ("", ""))
        comment, entry = comments.keys.get(name, ""), _entry(argument, constructor)
        if kind:
            meaning = comment or usual
        elif constructor is None or constructor.is_of_library:
            meaning = comment or entry  # a comment is about expt's use of a library's argument
        else:
            meaning = entry or comment
        default = "" if has_keys else yaml_text(value)
        yield Key(name, kind or type_name(argument, value), default, _in_yaml(meaning), has_keys)
        if has_keys:
            yield from _keys(group, value, comments, _inner(argument, value), f"{name}.")


def _in_yaml(meaning: str) -> str:
    """Returns a meaning with Python's constants as YAML writes them."""
    return _CONSTANT.sub(lambda match: _CONSTANTS[match[0]], meaning)


def _entry(argument: Argument, constructor: Constructor | None) -> str:
    if constructor is not None and constructor.is_of_library:
        return without_type_and_default(argument.meaning)
    return argument.meaning


def _inner(argument: Argument, value: Mapping[str, Any]) -> Constructor | None:
    """Returns what the keys of a nested mapping are arguments of.

    That is a part's `_target_`, or the class that the mapping's own entry names, as in "The values
    of an `Augmentation`."
    """
    if "_target_" in value:
        return read_constructor(str(value["_target_"]))
    named = _CLASS_IN_TEXT.search(argument.meaning)
    found = find_name(argument.module, named[1]) if named else None
    return read_constructor(f"{found[0]}.{named[1]}") if found and named else None


def _sets(values: Mapping[str, Any]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for entry in values.get("defaults", ()):
        for group, option in entry.items() if isinstance(entry, dict) else ():
            chosen[group.removeprefix("override ").removeprefix("/")] = yaml_text(option)
    rest = {key: value for key, value in values.items() if key != "defaults"}
    return chosen | {key: yaml_text(value) for key, value in flatten(rest).items()}


def _default(group: str) -> tuple[str, ...]:
    if is_list_group(group):
        entries = [entry for entry in top_level()["defaults"] if isinstance(entry, dict)]
        return tuple(next(entry[group] for entry in entries if group in entry))
    option = default_option(group)
    return () if option is None else (option,)


@cache
def _own_comments() -> Comments:
    return read_comments(config_directory() / "config.yaml")


def _typed_node(name: str) -> Constructor:
    constructor = read_constructor(f"{_SCHEMA}.{_TYPED_NODES[name]}")
    assert constructor is not None
    return constructor
