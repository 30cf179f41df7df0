"""Parsing of command lines that mix flags with `KEY=VALUE` arguments.

Keys that are typed as flags, such as `--epochs 5`, raise an error that suggests `loop.epochs=5`.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from expt.config.paths import expand_path
from expt.config.quoting import unquote
from expt.errors import UserError, hint

_FOLDER = "output_dir"
_FLAG = re.compile(r"--?(?P<key>[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.DOTALL)


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str], keys: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parses a command line of flags and `KEY=VALUE` arguments in any order.

    Args:
        parser: The parser of the flags.
        arguments: The command line.
        keys: The keys that the command accepts; None for those of the config.

    Raises:
        UserError: A flag is unknown, but is the name of a key.
    """
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        match = _FLAG.fullmatch(argument)
        if match is None or _is_known(parser, argument):
            continue
        # In "--epochs 5", the value is the next argument.
        following = [one for one in arguments[number + 1 : number + 2] if "=" not in one]
        value = match["value"]
        if value is None and following and not following[0].startswith("-"):
            value = following[0]
        question = _suggest(match["key"].replace("-", "_"), value, keys)
        if question is not None:
            raise UserError(f"{argument}: expected KEY=VALUE, without dashes. {question}")
    # `parse_args` would reject positional arguments on both sides of a flag.
    return parser.parse_intermixed_args(arguments)


def split_options(
    arguments: Sequence[str], defaults: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Separates a command's own `KEY=VALUE` arguments from overrides of the config.

    Quotes around a value are removed, as Hydra's grammar does, and the `~` of `output_dir` is
    expanded.

    Args:
        arguments: The positional arguments of the command line.
        defaults: The command's own keys and their defaults.

    Returns:
        The values of the command's own keys, and the other arguments.

    Raises:
        UserError: `output_dir` is not a valid path.
    """
    options, overrides = dict(defaults), []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key in options:
            options[key] = str(parse_output_dir(value)) if key == _FOLDER else unquote(value)
        else:
            overrides.append(argument)
    return options, overrides


def take_output_dir(arguments: Sequence[str]) -> Path:
    """Returns the folder of all runs, for a command whose only `KEY=VALUE` is `output_dir=…`.

    Raises:
        UserError: There is another argument, or the path is not valid.
    """
    options, others = split_options(arguments, {_FOLDER: "outputs"})
    if others:
        raise UserError(f"{others[0]}: {hint(others[0], [f'{_FOLDER}=…'])}")
    return Path(options[_FOLDER])


def parse_output_dir(value: str) -> Path:
    """Returns the folder that a value of `output_dir=` names, with `~` expanded.

    Raises:
        UserError: The value is empty or null, or names the home of a user that does not exist.
    """
    if value.strip().lower() == "null":
        raise UserError(f"{_FOLDER}={value}: expected the folder of all runs, such as outputs.")
    return expand_path(unquote(value), f"{_FOLDER}=")


def _suggest(key: str, value: str | None, keys: Sequence[str] | None) -> str | None:
    shown = f"{key}={'…' if value is None else value}"
    if keys is not None:
        return f"Did you mean {shown}?" if key in keys else None
    # Imported here, because they import Hydra and yaml, and most command lines have no error.
    from expt.config.full_keys import suggest_key
    from expt.config.groups import groups, top_level

    return f"Did you mean {shown}?" if key in (*groups(), *top_level()) else suggest_key(key, value)


def _is_known(parser: argparse.ArgumentParser, argument: str) -> bool:
    """Whether a parser has a flag, or a flag that an argument abbreviates."""
    flags = parser._option_string_actions  # argparse has no public list of its flags
    name = argument.partition("=")[0]
    if argument.startswith("--"):
        return any(flag.startswith(name) for flag in flags)
    return name in flags
