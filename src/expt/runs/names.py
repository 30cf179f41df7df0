"""The names of runs and sweeps that people read and type, such as `cnn-relu-lr0.01-s0`."""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expt.errors import UserError, nearest
from expt.runs.chronology import is_at_home, records_in
from expt.runs.records import RUN_FILE, Record, read_record

_MOST_CANDIDATES = 5  # directories in a message


@dataclass(frozen=True)
class Named:
    """A run or a sweep by its name.

    Attributes:
        directory: Its directory.
        name: Its name; that of its directory if its record has none.
        is_at_home: Whether it is where it began; a copy beside the original is not.
    """

    directory: Path
    name: str
    is_at_home: bool


def name_of(record: Record, directory: Path) -> str:
    """Returns the name of a run or a sweep; its directory's if the record has none."""
    return record.label or directory.name


def all_named(output_dir: Path, file: str = RUN_FILE) -> list[Named]:
    """Returns all runs, or with `file=SWEEP_FILE` all sweeps, whose records can be read."""
    found = []
    for path in records_in(output_dir, file):
        # A damaged one does not keep others from being found.
        with suppress(UserError):
            record, directory = read_record(path), path.parent
            name = name_of(record, directory)
            found.append(Named(directory, name, is_at_home(record, directory)))
    return found


def directory_of(name: str, known: Sequence[Named], output_dir: Path) -> Path | None:
    """Returns the directory of the run or sweep with a name, or with a directory called so.

    Args:
        name: As typed.
        known: All there are.
        output_dir: Where they are, for a message.

    Raises:
        UserError: Several have the name.
    """
    found = [one for one in known if one.name == name]
    found = found or [one for one in known if one.directory.name == name]
    found = [one for one in found if one.is_at_home] or found
    if len(found) > 1:
        places = sorted(os.path.relpath(one.directory) for one in found)
        more = len(places) - _MOST_CANDIDATES
        tail = f" and {more} more" if more > 0 else ""
        raise UserError(
            f"{name}: {len(found)} in {output_dir} have this name: "
            f"{', '.join(places[:_MOST_CANDIDATES])}{tail}. Expected the directory of one."
        )
    return found[0].directory if found else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean …?` with the nearest name; nothing if none is near."""
    near = nearest(name, known)
    return "" if near is None else f" Did you mean {near!r}?"
