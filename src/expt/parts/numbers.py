"""Checks of numbers that come from a config.

Python's bool is a subclass of int, so that `true` would pass a plain isinstance check.
"""

from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is an int or float, finite or not, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Whether a value is an int of at least `least`, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
