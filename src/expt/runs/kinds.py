"""The kinds of values that a record must hold to be used: it may be damaged, or from elsewhere.

A kind is a class or None, or it is made of kinds: `{key: kind}` is a mapping that has these keys
(a missing one is None), `{str: kind}` one of such values, whatever their keys, `[kind]` a list of
such items, and `(kind, kind)` one or the other. A set is of the texts that are possible. `int`
stands for a count or a step, `float` for a finite number; no boolean is either.
"""

import sys
from collections.abc import Mapping
from typing import Any

_LARGEST_COUNT = 2**63 - 1


def wrong_place(value: object, kind: Any, place: str = "") -> str | None:
    """Returns where a value is not of a kind, such as `data.name`; None if it is.

    Args:
        value: As JSON holds it.
        kind: What it must be.
        place: Where the value stands itself.
    """
    if isinstance(kind, tuple):
        places = [wrong_place(value, one, place) for one in kind]
        return None if None in places else places[-1]
    items: list[tuple[Any, object, Any]] = []
    if isinstance(kind, Mapping) and isinstance(value, Mapping):
        wanted = dict.fromkeys(value, kind[str]) if str in kind else kind
        items = [(key, value.get(key), inner) for key, inner in wanted.items()]
    elif isinstance(kind, list) and isinstance(value, list):
        items = [(index, item, kind[0]) for index, item in enumerate(value)]
    elif not _is_plain(value, kind):
        return place
    for name, item, inner in items:
        wrong = wrong_place(item, inner, f"{place}.{name}" if place else str(name))
        if wrong is not None:
            return wrong
    return None


def _is_plain(value: object, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind is int:
        return type(value) is int and 0 <= value <= _LARGEST_COUNT
    if kind is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return abs(value) <= sys.float_info.max
    if isinstance(kind, set):
        return isinstance(value, str) and value in kind
    return isinstance(kind, type) and isinstance(value, kind)
