"""Validation of the hooks in a config."""

from collections.abc import Mapping
from typing import Any

from expt.config.cadence import Cadence
from expt.errors import UserError

EVERY_KEY = "every"
"""The key of a hook's cadence; the other keys of its node are its constructor's arguments."""


def check_hooks(hooks: Mapping[str, Any]) -> None:
    """Checks that each hook of a config has a valid cadence.

    Args:
        hooks: The nodes of the hooks by name.

    Raises:
        UserError: The cadence of a hook is missing or invalid.
    """
    for name, node in hooks.items():
        if EVERY_KEY not in node:
            raise UserError(
                f"hook.{name} has no cadence. Add {EVERY_KEY}: 1ep (epochs) or 100 (steps) to its "
                "yaml."
            )
        try:
            Cadence.parse(node[EVERY_KEY])
        except ValueError as error:
            raise UserError(f"hook.{name}.{EVERY_KEY}: {error}.") from error
