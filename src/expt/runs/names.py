"""Finds runs and sweeps by their human-readable names, such as `cnn-relu-lr0.01-s0`."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expt.errors import UserError, nearest
from expt.runs.chronology import is_original, records_in
from expt.runs.records import RUN_FILE, Record, read_record

_MOST_CANDIDATES = 5  # directories in a message


@dataclass(frozen=True)
class NamedRecord:
    """A run or a sweep with its name.

    Attributes:
        directory: Directory of the run or sweep.
        name: The recorded name; the name of the directory if the record has none.
        is_original: Whether it is in its original place, and not a copy within the folder.
    """

    directory: Path
    name: str
    is_original: bool


def name_of(record: Record, directory: Path) -> str:
    """Returns the name of a run or a sweep; the name of its directory if the record has none."""
    return record.label or directory.name


def all_named(output_dir: Path, file: str = RUN_FILE) -> list[NamedRecord]:
    """Returns all runs, or with `file=SWEEP_FILE` all sweeps, with readable records."""
    found = []
    for path in records_in(output_dir, file):
        # A damaged record must not hide the others.
        with suppress(UserError):
            record, directory = read_record(path), path.parent
            name = name_of(record, directory)
            found.append(NamedRecord(directory, name, is_original(record, directory)))
    return found


def directory_of(name: str, known: Sequence[NamedRecord], output_dir: Path) -> Path | None:
    """Returns the directory of the run or sweep with a name; None if there is none.

    Args:
        name: A name of a run or sweep, or of its directory.
        known: All runs, or all sweeps.
        output_dir: The folder of all runs, for the error message.

    Raises:
        UserError: Several runs or sweeps have the name.
    """
    # Recorded names win over names of directories, and originals over their copies.
    found = [one for one in known if one.name == name]
    found = found or [one for one in known if one.directory.name == name]
    found = [one for one in found if one.is_original] or found
    if len(found) > 1:
        places = sorted(os.path.relpath(one.directory) for one in found)
        more = len(places) - _MOST_CANDIDATES
        tail = f" and {more} more" if more > 0 else ""
        raise UserError(
            f"{name}: this name is ambiguous, {len(found)} directories in {output_dir} have it: "
            f"{', '.join(places[:_MOST_CANDIDATES])}{tail}. Expected one of these directories."
        )
    return found[0].directory if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean …?` with the nearest name; an empty string if no name is near."""
    near = nearest(name, known)
    return "" if near is None else f" Did you mean {near!r}?"
