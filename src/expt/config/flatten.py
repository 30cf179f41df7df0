"""Nested values as flat ones, by full keys such as `optimizer.learning_rate`."""

from collections.abc import Mapping
from typing import Any


def flatten(
    config: Mapping[str, Any], prefix: str = "", *, declarations: bool = False
) -> dict[str, Any]:
    """Returns `{"optimizer.learning_rate": 0.001, …}`, lists whole.

    Declarations, such as `_tasks_`, are left out unless they are asked for.
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key.startswith("_") and key != "_target_" and not declarations:
            continue
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.", declarations=declarations)
        else:
            flat[name] = value
    return flat
