"""Paths as users type them."""

import os
from pathlib import Path

from expt.errors import UserError


def expanded(path: str | Path, key: str = "") -> Path:
    """Returns a path with `~` and `~user` expanded.

    Args:
        path: As typed.
        key: What the user gave it as, such as `output_dir=`, for messages.

    Raises:
        UserError: It is empty, or there is no such user.
    """
    if not str(path).strip():
        raise UserError(f"{key}{path}: expected a path, which must not be empty.")
    place = os.path.expanduser(path)  # noqa: PTH111  pathlib's raises where there is no such user
    if str(place).startswith("~") and not os.path.lexists(place):
        user = str(place).partition(os.sep)[0]
        raise UserError(
            f"{key}{path}: there is no user {user[1:]!r} on this machine. For a folder whose name "
            f"begins with ~: ./{path}"
        )
    return Path(place)
