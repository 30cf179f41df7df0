"""Names of classes and categories in messages, and a note on names that look alike."""

import decimal
import re
from collections.abc import Iterable, Sequence

from expt.parts.data.number_formats import quote_shortened

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_MOST_NAMED = 10


def join_names(texts: Sequence[str], most: int = _MOST_NAMED) -> str:
    """Joins texts with commas; those beyond the first `most` are only counted."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def as_item(name: str) -> str:
    """Writes a name as an item of a list in an override, quoted where Hydra needs it."""
    return name if re.fullmatch(r"\w+", name) else repr(name)


def similar_names_note(names: Iterable[str], noun: str) -> str | None:
    """Returns a note on names that differ only in case, white space or number format, if any.

    Args:
        names: Names that count as different, as they are written.
        noun: The plural that the names are called by in the note, such as `classes`.
    """
    by_key: dict[str | decimal.Decimal, list[str]] = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    alike = [
        " and ".join(map(quote_shortened, group)) for group in by_key.values() if len(group) > 1
    ]
    if not alike:
        return None
    # Only noted, not merged: names that look alike may well be different classes.
    return f"{join_names(alike, 3)} are different {noun}, as they are written."


def _key(name: str) -> str | decimal.Decimal:
    if _NUMBER.fullmatch(name):
        return decimal.Decimal(name)  # 01 equals 1.0
    return " ".join(name.casefold().split())
