"""The kinds of values that a file must hold to be used; it may be damaged, or come from elsewhere.

A kind is a class, None, or is made of kinds: `{key: kind}` is a mapping with these keys and any
others, `[kind]` a list of such items, `(kind, kind)` one or the other. A missing key is None. `int`
and `float` stand for numbers that computers count and measure with: not booleans, the one from 0
and within 64 bits, the other finite.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

_LARGEST_COUNT = 2**63 - 1


def wrong_place(value: object, kind: Any, place: str = "") -> str | None:
    """Returns where a value is not of a kind, such as `data.name`; None if it is.

    Args:
        value: As JSON holds it.
        kind: What it must be.
        place: Where the value is itself.
    """
    if isinstance(kind, tuple):
        wrong = [wrong_place(value, one, place) for one in kind]
        return None if None in wrong else wrong[-1]
    items: Iterable[tuple[object, Any, str]] = ()
    if isinstance(kind, Mapping):
        is_right = isinstance(value, dict)
        if isinstance(value, dict):
            items = ((value.get(key), one, str(key)) for key, one in kind.items())
    elif isinstance(kind, list):
        is_right = isinstance(value, list)
        if isinstance(value, list):
            items = ((item, kind[0], str(index)) for index, item in enumerate(value))
    else:
        is_right = _is_plain(value, kind)
    if not is_right:
        return place
    wrong = [wrong_place(item, one, f"{place}.{name}" if place else name) for item, one, name in items]
    return next((found for found in wrong if found is not None), None)


def _is_plain(value: object, kind: Any) -> bool:
    if kind is None:
        return value is None
    if isinstance(value, bool):
        return kind is bool
    if kind is int:
        return isinstance(value, int) and 0 <= value <= _LARGEST_COUNT
    if kind is float:
        return isinstance(value, int | float) and abs(value) <= sys.float_info.max
    return isinstance(value, kind)
