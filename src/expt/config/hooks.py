"""Validation of the hooks and probes in a config."""

from collections.abc import Mapping
from typing import Any

from expt.config.cadence import Cadence
from expt.errors import UserError

EVERY_KEY = "every"
"""The key of a cadence; the other keys of a hook's or a probe's node are its arguments."""


def check_hooks(group: str, hooks: Mapping[str, Any]) -> None:
    """Checks that each hook or probe of a config has a valid cadence.

    Args:
        group: `hook` or `probe`.
        hooks: The nodes of the group by name.

    Raises:
        UserError: The cadence of a hook is missing or invalid.
    """
    for name, node in hooks.items():
        if EVERY_KEY not in node:
            raise UserError(
                f"{group}.{name} has no cadence. Add {EVERY_KEY}: 1ep (epochs) or 100 (steps) to "
                "its yaml."
            )
        try:
            Cadence.parse(node[EVERY_KEY])
        except ValueError as error:
            raise UserError(f"{group}.{name}.{EVERY_KEY}: {error}.") from error
