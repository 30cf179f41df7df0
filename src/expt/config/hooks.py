"""The nodes of hooks in a config."""

from collections.abc import Mapping
from typing import Any

from expt.config.cadence import Cadence
from expt.errors import UserError

EVERY_KEY = "every"
"""Of a hook: its cadence; the other keys are its own arguments."""


def check_hooks(hooks: Mapping[str, Any]) -> None:
    """Checks that each hook of a config, by its name, has a cadence.

    Raises:
        UserError: One has not.
    """
    for name, node in hooks.items():
        if EVERY_KEY not in node:
            raise UserError(
                f"hook.{name}: it has no cadence. Add {EVERY_KEY}: 1ep (epochs) or 100 (steps)."
            )
        try:
            Cadence.parse(node[EVERY_KEY])
        except ValueError as error:
            raise UserError(f"hook.{name}.{EVERY_KEY}: {error}.") from error
