"""The packages of a user's own that configs may use."""

import os

ALLOW_VARIABLE = "EXPT_ALLOW"
"""The environment variable with the user's packages that configs may use, separated by commas.

A config can't set it: a config from somewhere else must not be able to allow its own code.
"""


def is_allowed_by_user(name: str) -> bool:
    """Whether a module or target belongs to a package in `EXPT_ALLOW`."""
    packages = (package.strip() for package in os.environ.get(ALLOW_VARIABLE, "").split(","))
    return any(package and f"{name}.".startswith(f"{package}.") for package in packages)
