"""Conversion of overrides as typed to overrides that Hydra's grammar accepts.

Users type paths, column names and separators without Hydra's quotes. Therefore:

- A value that the grammar rejects is quoted as text, unless it begins as a list, a mapping, a
  quoted text or a call of one of Hydra's functions; those are errors.
- The values of `TEXTS` and `LISTS_OF_TEXTS` are always text, even where Hydra would read a number
  or a list: `data.target=1e5` is the column `1e5`.
- As a value of `TEXTS`, `null` is null and `'null'` is text; inside a list, `null` is text.

Quotes around a whole value, `${…}`, calls of Hydra's functions, and its escapes, such as a
backslash before a comma, always keep their meaning.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from expt.config.quoting import is_quoted, quote, split_at_commas
from expt.errors import UserError

TEXTS = frozenset(
    {
        *("name", "output_dir", "data.path", "data.data_dir", "data.target"),
        *("data.weight", "data.group", "data.separator", "data.decimal", "data.thousands"),
    }
)
"""Keys whose values are text as typed: column names, paths and separators."""

LISTS_OF_TEXTS = frozenset(
    {"data.ignore", "data.categorical", "data.class_names", "data.na_values"}
)
"""Keys whose values are lists of text as typed."""

Convert = Callable[[str], str]

_FUNCTIONS = "bool|choice|float|glob|int|interval|range|shuffle|sort|str|tag"
_CALL = re.compile(rf"\s*(?:{_FUNCTIONS})\s*\(.*\)\s*", re.DOTALL)
_SYNTAX = re.compile(rf"\s*(?:[\[{{'\"]|(?:{_FUNCTIONS})\s*\()")
_CHOICE = re.compile(r"\s*choice\s*\((.*)\)\s*", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")


def normalize(overrides: Sequence[str], multirun: bool) -> list[str]:
    """Returns overrides that Hydra's grammar accepts.

    Overrides that the grammar already reads as intended, and those that remain invalid, are
    returned unchanged.

    Args:
        overrides: The overrides as typed.
        multirun: Whether commas in text separate the values of a sweep; otherwise they are part of
            the text.

    Raises:
        UserError: An override is not valid UTF-8.
    """
    # Python decodes other bytes on the command line to surrogates, which no record can encode.
    for override in overrides:
        if any("\ud800" <= letter <= "\udfff" for letter in override):
            raise UserError(f"{override!a} is not valid UTF-8; expected KEY=VALUE in UTF-8.")
    return [_normalize(override, multirun) for override in overrides]


def _normalize(override: str, multirun: bool) -> str:
    key, equals, value = override.partition("=")
    if not equals or key.startswith("~") or _parse(f"{key}=x") is None:
        return override
    name = key.lstrip("+")
    if name in TEXTS:
        changed = _text(value, multirun, partial(_as_text, has_null=True))
    elif name in LISTS_OF_TEXTS and value.lstrip().startswith("["):
        changed = _values(value, _as_list_of_texts)
    elif _parse(override) is None:
        changed = _values(value, _as_text_if_rejected)
    else:
        return override
    # What the grammar still rejects stays as typed, because Hydra's error quotes it.
    return override if _parse(f"{key}={changed}") is None else f"{key}={changed}"


def _values(value: str, convert: Convert) -> str:
    """Converts a value, or each value of a sweep."""
    choice = _CHOICE.fullmatch(value)
    pieces = split_at_commas(choice[1] if choice else value)
    converted = ",".join(convert(piece.strip()) for piece in pieces)
    return f"choice({converted})" if choice else converted


def _text(value: str, multirun: bool, convert: Convert) -> str:
    is_sweep = multirun and (len(split_at_commas(value)) > 1 or _CHOICE.fullmatch(value))
    # The values of a sweep are not empty, so `data.separator=,` is the comma.
    is_sweep = is_sweep and all(piece.strip() for piece in split_at_commas(value))
    return _values(value, convert) if is_sweep else convert(value)


def _as_text(text: str, *, has_null: bool = False) -> str:
    """Quotes a text unless Hydra reads it as the same text."""
    if not text or is_quoted(text.strip()) or (has_null and text.strip().lower() == "null"):
        return text
    parse_override, meant = _parse(f"x={text}"), _ESCAPED.sub(r"\1", text)
    if parse_override is not None and (_CALL.fullmatch(text) or _is(parse_override, meant)):
        return text
    return quote(meant)


def _as_list_of_texts(text: str) -> str:
    if not (text.startswith("[") and text.endswith("]")):
        return text
    pieces = [piece.strip() for piece in split_at_commas(text[1:-1])]
    return f"[{','.join(map(_as_text, pieces))}]"


def _as_text_if_rejected(text: str) -> str:
    if _SYNTAX.match(text) or _parse(f"x={text}") is not None:
        return text
    return quote(_ESCAPED.sub(r"\1", text))


def _is(override: Override, text: str) -> bool:
    return not override.is_sweep_override() and override.value() == text


@lru_cache(maxsize=2**15)  # the jobs of a sweep share most of their overrides
def parse_override(override: str) -> Override:
    """Parses an override with Hydra's grammar.

    Raises:
        HydraException: The grammar rejects the override.
    """
    return _parser().parse_override(override)


@cache  # a new parser inspects the signatures of all of Hydra's functions
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _parse(override: str) -> Override | None:
    """Parses an override; returns None if Hydra's grammar rejects it."""
    try:
        return parse_override(override)
    except HydraException:
        return None
