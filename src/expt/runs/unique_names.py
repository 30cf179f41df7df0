"""Names of runs and sweeps, unique within their experiment in a folder of runs."""

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


def take_names(output_dir: Path, experiment: str, wanted: Sequence[str]) -> list[str]:
    """Takes names that no run or sweep of an experiment has; those taken already get a number.

    Args:
        output_dir: The folder of all runs.
        experiment: The `name` of the config.
        wanted: Such as `cnn-relu-s0`, which becomes `cnn-relu-s0-2` if there is one.

    Returns:
        A name for each wanted one. They are unique among themselves alone if there is no folder
        of runs, or if it can't be written to.
    """
    experiment, wanted = redacted(experiment), [redacted(name) for name in wanted]
    if not output_dir.is_dir():
        return _take(set(), wanted)
    try:
        with FileLock(output_dir / _LOCK, timeout=_SECONDS_TO_WAIT):
            known = _known(output_dir)
            names = _take(known.setdefault(experiment, set()), wanted)
            _write(output_dir, known)
            return names
    except OSError as error:
        if error.errno not in _NOT_ALLOWED and not isinstance(error, TimeoutError):
            raise
        return _take(_known(output_dir).get(experiment, set()), wanted)


def _take(taken: set[str], wanted: Sequence[str]) -> list[str]:
    names = []
    for base in wanted:
        tries = (base if number == 1 else f"{base}-{number}" for number in count(1))
        name = next(one for one in tries if one not in taken)
        taken.add(name)
        names.append(name)
    return names


def _known(output_dir: Path) -> dict[str, set[str]]:
    try:
        content = read_json(output_dir / NAMES_FILE)
        return {str(experiment): set(map(str, names)) for experiment, names in content.items()}
    except (UserError, TypeError, AttributeError):
        known: dict[str, set[str]] = {}
        for experiment, name in _recorded(output_dir):
            known.setdefault(experiment, set()).add(name)
        return known


def _recorded(output_dir: Path) -> Iterator[tuple[str, str]]:
    for file_name in (RUN_FILE, SWEEP_FILE):
        for file in records_in(output_dir, file_name):
            with suppress(UserError):
                record = read_record(file)
                if record.name is not None and record.label is not None:
                    yield record.name, record.label


def _write(output_dir: Path, known: dict[str, set[str]]) -> None:
    content = {experiment: sorted(names) for experiment, names in known.items()}
    write_json(output_dir / NAMES_FILE, content, indent=None)
