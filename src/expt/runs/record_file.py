"""The file of a record: JSON with a schema version."""

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from expt.errors import UserError
from expt.runs.atomic import read_json, write_json
from expt.runs.damaged import damaged, invalid_field
from expt.runs.record_base import Part

SCHEMA_VERSION = 2
"""The value of `schema_version` in the files; files of version 1 do not have this key."""

_VERSION_KEY = "schema_version"

_Record = TypeVar("_Record", bound=Part)


def read_versioned(file: Path, kind: type[_Record]) -> _Record:
    """Reads a record of any schema version up to this one.

    Args:
        file: The file.
        kind: The class of the record.

    Raises:
        UserError: The file is missing, damaged, or was written by a newer version.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise UserError(f"{file} is not the record of a {file.stem}.")
    # Checked before the fields: a newer version may have given known keys another meaning.
    version = content.pop(_VERSION_KEY, 1)
    if type(version) is not int or version < 1:
        raise damaged(file, _VERSION_KEY)
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{file} was written by a newer version of expt (schema {version}, this version reads "
            f"up to {SCHEMA_VERSION}): update expt."
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise damaged(file, invalid_field(error)) from error


def write_versioned(file: Path, record: Part) -> None:
    """Writes a record with this schema version; the file is replaced atomically.

    Raises:
        OSError: The disk is full, or the directory can't be written to.
    """
    write_json(file, {_VERSION_KEY: SCHEMA_VERSION, **record.to_mapping()})
