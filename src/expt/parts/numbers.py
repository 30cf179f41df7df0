"""What counts as a number among values that come from a config; true and false don't."""

from typing import TypeGuard


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, finite or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Whether a value is a whole number of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
