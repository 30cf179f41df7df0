"""Assigns names to runs and sweeps that are unique within an experiment of a folder of runs.

The file `.names.json` lists the names by experiment. It is only a cache: if it is missing or
damaged, the names are collected from the records.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from filelock import FileLock

from expt.errors import UserError
from expt.runs.atomic import read_json, write_json
from expt.runs.chronology import records_in
from expt.runs.records import RUN_FILE, SWEEP_FILE, read_record
from expt.runs.secrets import redacted

NAMES_FILE = ".names.json"
_LOCK = ".names.lock"
_SECONDS_TO_WAIT = 60.0
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def reserve_names(output_dir: Path, experiment: str, wanted: Sequence[str]) -> list[str]:
    """Reserves names that no other run or sweep of an experiment has, by appending numbers.

    Args:
        output_dir: The folder of all runs.
        experiment: Name of the experiment, `name` in the config.
        wanted: The wanted names. `cnn-relu-s0` becomes `cnn-relu-s0-2` if it is already in use.

    Returns:
        One name per wanted name. If the folder does not exist, they are only unique among
        themselves; if it is not writable, other processes may get the same names.

    Raises:
        OSError: The file can't be written, other than for lack of permission.
    """
    # Names end up in files and in MLflow, and the values in them may contain secrets.
    experiment, wanted = redacted(experiment), [redacted(name) for name in wanted]
    if not output_dir.is_dir():
        return _choose_names(set(), wanted)
    try:
        # Between reading and writing, no other process may choose the same names.
        with FileLock(output_dir / _LOCK, timeout=_SECONDS_TO_WAIT):
            known = _names_in_use(output_dir)
            names = _choose_names(known.setdefault(experiment, set()), wanted)
            _write_names(output_dir, known)
            return names
    except OSError as error:
        if error.errno not in _NOT_ALLOWED and not isinstance(error, TimeoutError):
            raise
        return _choose_names(_names_in_use(output_dir).get(experiment, set()), wanted)


def _choose_names(taken: set[str], wanted: Sequence[str]) -> list[str]:
    """Returns a free name for each wanted one, and adds the names to `taken`."""
    names = []
    for base in wanted:
        tries = (base if number == 1 else f"{base}-{number}" for number in count(1))
        name = next(one for one in tries if one not in taken)
        taken.add(name)
        names.append(name)
    return names


def _names_in_use(output_dir: Path) -> dict[str, set[str]]:
    """Returns all names by experiment, from the file or, if it can't be read, from the records."""
    try:
        content = read_json(output_dir / NAMES_FILE)
        return {str(experiment): set(map(str, names)) for experiment, names in content.items()}
    except (UserError, TypeError, AttributeError):
        known: dict[str, set[str]] = {}
        for experiment, name in _recorded_names(output_dir):
            known.setdefault(experiment, set()).add(name)
        return known


def _recorded_names(output_dir: Path) -> Iterator[tuple[str, str]]:
    """Yields experiment and name of all runs and sweeps with readable records."""
    for file_name in (RUN_FILE, SWEEP_FILE):
        for file in records_in(output_dir, file_name):
            with suppress(UserError):
                record = read_record(file)
                if record.name is not None and record.label is not None:
                    yield record.name, record.label


def _write_names(output_dir: Path, known: dict[str, set[str]]) -> None:
    content = {experiment: sorted(names) for experiment, names in known.items()}
    write_json(output_dir / NAMES_FILE, content, indent=None)
