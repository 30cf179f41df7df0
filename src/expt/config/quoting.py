"""Quoting of text for Hydra's override grammar, and splitting at commas outside of quotes."""

import re
from collections.abc import Sequence

_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
# Quotes count only around a whole value or item of a list: the apostrophe in "it's" is text.
_TOKEN = re.compile(
    rf"\\.|(?<![^,\[({{:])\s*(?:{_QUOTED.pattern})(?=\s*(?:[,\])}}]|$))|.", re.DOTALL
)


def quote(text: str) -> str:
    """Quotes a text for Hydra's override grammar, where backslashes escape only before quotes."""
    quote = '"' if "'" in text and '"' not in text else "'"
    # Backslashes are doubled before a quote and at the end, where the closing quote follows.
    escaped = re.sub(
        rf"(\\*)({quote}|$)", lambda m: m[1] * 2 + (f"\\{quote}" if m[2] else ""), text
    )
    return f"{quote}{escaped}{quote}"


def is_quoted(text: str) -> bool:
    """Whether a whole text is one quoted value."""
    return _QUOTED.fullmatch(text) is not None


def unquote(text: str) -> str:
    """Returns the text inside a quoted value; returns any other text unchanged."""
    if not is_quoted(text):
        return text
    quote = text[0]
    return re.sub(rf"(\\+)({quote}|$)", lambda m: m[1][: len(m[1]) // 2] + m[2], text[1:-1])


def values_by_key(overrides: Sequence[str]) -> dict[str, str]:
    """Returns the values of overrides by key, without quotes and without `+` or `~`."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {key: unquote(value) for key, _, value in pairs}


def split_at_commas(text: str) -> list[str]:
    """Splits a text at the commas outside of quotes and brackets.

    If brackets don't match, they are treated as ordinary characters.
    """
    return _split(text, with_brackets=True) or _split(text, with_brackets=False) or [text]


def tokens(text: str) -> list[str]:
    """Splits a text into quoted values, pairs of a backslash and a character, and characters."""
    return _TOKEN.findall(text)


def _split(text: str, *, with_brackets: bool) -> list[str] | None:
    """Returns the pieces; None if `with_brackets` and the brackets don't match."""
    pieces, depth = [""], 0
    for piece in tokens(text):
        if with_brackets:
            depth += (piece in "[({") - (piece in "])}")
        if depth < 0:
            return None
        if piece == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += piece
    return pieces if depth == 0 else None
