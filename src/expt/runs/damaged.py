"""Errors about records in which a value is missing or wrong."""

from pathlib import Path

from pydantic import ValidationError

from expt.errors import UserError


def invalid_field(error: ValidationError) -> str:
    """Returns the path of the first value that is missing or wrong, such as `data.name`."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, first["loc"]))


def damaged(file: Path, field: str) -> UserError:
    """Returns the error for a record in which a value is missing or wrong."""
    return UserError(
        f"{file} is damaged: {field!r} is missing or wrong. Restore the file from a backup, if "
        "there is one."
    )
