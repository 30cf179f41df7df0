"""Expansion of paths that users type."""

import os
from pathlib import Path

from expt.errors import UserError


def expand_path(path: str | Path, key: str = "") -> Path:
    """Returns a path with `~` or `~user` expanded.

    Args:
        path: The path as typed.
        key: The text that the user typed before it, such as `output_dir=`, for messages.

    Raises:
        UserError: The path is empty, or the user does not exist.
    """
    if not str(path).strip():
        raise UserError(f"{key}{path}: expected a path that is not empty.")
    place = os.path.expanduser(path)  # noqa: PTH111  Path.expanduser raises for unknown users
    if str(place).startswith("~") and not os.path.lexists(place):
        user = str(place).partition(os.sep)[0]
        raise UserError(
            f"{key}{path}: there is no user {user[1:]!r} on this machine. If the name of the "
            f"folder begins with ~, write ./{path}"
        )
    return Path(place)


def relative_path(path: str) -> str:
    """Returns a path relative to the working directory, if it is below it, for messages."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path
