"""Flattening of nested values to full keys, such as `optimizer.learning_rate`."""

from collections.abc import Mapping
from typing import Any


def flatten(
    config: Mapping[str, Any], prefix: str = "", *, declarations: bool = False
) -> dict[str, Any]:
    """Returns the values of nested mappings by full key: `{"optimizer.learning_rate": 0.001, …}`.

    Lists are values, and are not flattened.

    Args:
        config: The nested mappings.
        prefix: A prefix of all keys, such as `optimizer.`.
        declarations: Whether to include declarations of parts, such as `_tasks_`.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        # _target_ is kept: it decides what is built, while declarations only describe it.
        if key.startswith("_") and key != "_target_" and not declarations:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.", declarations=declarations)
        else:
            flat[name] = value
    return flat
