"""Names of classes and categories, and those that are hard to tell from each other."""

import decimal
import re
from collections.abc import Iterable, Sequence

from expt.parts.data.number_formats import shortened

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_MOST_NAMED = 10


def listed(texts: Sequence[str], most: int = _MOST_NAMED) -> str:
    """Returns texts with commas between, of which some are counted only if there are many."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def as_item(name: str) -> str:
    """Writes a name as an item of a list in an override."""
    return name if re.fullmatch(r"\w+", name) else repr(name)


def alike_note(names: Iterable[str], what: str) -> str | None:
    """Notes names that differ in capitals, white space or the way to write a number alone.

    Args:
        names: Those that are kept apart, as they are written.
        what: They are, such as `classes`.
    """
    by_key: dict[str | decimal.Decimal, list[str]] = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    alike = [" and ".join(map(shortened, group)) for group in by_key.values() if len(group) > 1]
    if not alike:
        return None
    return f"{listed(alike, 3)} are different {what}, as they are written."


def _key(name: str) -> str | decimal.Decimal:
    if _NUMBER.fullmatch(name):
        return decimal.Decimal(name)  # 01 equals 1.0
    return " ".join(name.casefold().split())
