"""Command lines with `--epochs 5` or `-lr 0.1`, where `loop.epochs=5` is meant."""

import argparse
import re
from collections.abc import Sequence

from expt.errors import UserError

_FLAG = re.compile(r"--?(?P<key>[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.DOTALL)


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str], keys: Sequence[str] | None = None
) -> argparse.Namespace:
    """Parses a command line of flags and `KEY=VALUE` in any order.

    Args:
        parser: Knows the flags.
        arguments: The command line.
        keys: The keys that the command takes; None if it takes those of the config.

    Raises:
        UserError: A flag that the parser lacks is a key.
    """
    for number, argument in enumerate(arguments):
        if argument == "--":
            break
        match = _FLAG.fullmatch(argument)
        if match is None or _is_known(parser, argument):
            continue
        following = [one for one in arguments[number + 1 : number + 2] if "=" not in one]
        value = match["value"]
        if value is None and following and not following[0].startswith("-"):
            value = following[0]
        question = _meant(match["key"].replace("-", "_"), value, keys)
        if question is not None:
            raise UserError(f"{argument}: expected KEY=VALUE, without dashes. {question}")
    return parser.parse_intermixed_args(arguments)


def _meant(key: str, value: str | None, keys: Sequence[str] | None) -> str | None:
    shown = f"{key}={'…' if value is None else value}"
    if keys is not None:
        return f"Did you mean {shown}?" if key in keys else None
    # Not above: they import Hydra and yaml, and most command lines are right.
    from expt.config.full_keys import meant
    from expt.config.groups import groups, top_level

    return f"Did you mean {shown}?" if key in (*groups(), *top_level()) else meant(key, value)


def _is_known(parser: argparse.ArgumentParser, argument: str) -> bool:
    """Whether a parser has a flag, or one that an abbreviation stands for."""
    flags = parser._option_string_actions  # argparse has no public list of them
    name = argument.partition("=")[0]
    if argument.startswith("--"):
        return any(flag.startswith(name) for flag in flags)
    return name in flags
