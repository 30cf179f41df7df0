"""The identity of a folder of runs, and the numbers that it gives to runs and sweeps in turn."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from expt.errors import UserError
from expt.runs import record_parts
from expt.runs.atomic import read_json, write_json
from expt.runs.chronology import PLACE_FILE, records_in
from expt.runs.records import RUN_FILE, SWEEP_FILE, read_record

_LOCK = ".place.lock"
_SECONDS_TO_WAIT = 60.0
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class FolderIdentity:
    """A folder of runs.

    Attributes:
        id: Stays when the folder is moved; a copy gets another one.
        path: Where the folder was when it was last written to.
        number: The last number that was given to a run or a sweep.
        earlier: The ids of the folders that this one is a copy of.
    """

    id: str
    path: str
    number: int = 0
    earlier: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """All ids that records in the folder may name as their place's."""
        return frozenset((self.id, *self.earlier))


def claim(output_dir: Path, directory: Path) -> dict[str, Any] | None:
    """Gives the next number to a new run or sweep.

    Numbers order what began in a folder, whatever clocks and time zones say. They are not given
    twice: the file is written before one is used, so that a crash leaves a gap at most.

    Args:
        output_dir: The folder of all runs.
        directory: The run's or the sweep's.

    Returns:
        The `place` of run.json or sweep.json: the folder's id, the directory in it, and the
        number. None for a directory elsewhere while there is no folder of all runs.
    """
    if not directory.resolve().is_relative_to(output_dir.resolve()) and not output_dir.is_dir():
        return None
    output_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output_dir / _LOCK, timeout=_SECONDS_TO_WAIT):
            place = _present(output_dir)
            place = replace(place, number=place.number + 1)
            _write(output_dir, place)
    except OSError as error:
        if error.errno not in _NOT_ALLOWED and not isinstance(error, TimeoutError):
            raise
        # Another user's folder, of which only the run's directory can be written to.
        place = read_place(output_dir) or _recovered(output_dir)
        place = replace(place, number=max(place.number, _recovered(output_dir).number) + 1)
    return {
        "id": place.id,
        "directory": relative(directory, output_dir),
        "number": place.number,
    }


def settled(output_dir: Path) -> FolderIdentity:
    """Returns the place that a folder is now, after noting whether it was moved or copied."""
    try:
        with FileLock(output_dir / _LOCK, timeout=_SECONDS_TO_WAIT):
            place = _present(output_dir)
            if place != read_place(output_dir):
                _write(output_dir, place)
            return place
    except OSError as error:
        if error.errno not in _NOT_ALLOWED and not isinstance(error, TimeoutError):
            raise
        return _present(output_dir)


def relative(directory: Path, output_dir: Path) -> str:
    """Returns a directory as records name it: from the folder of all runs, with slashes."""
    return Path(os.path.relpath(directory.resolve(), output_dir.resolve())).as_posix()


def read_place(output_dir: Path) -> FolderIdentity | None:
    """Reads what a folder says of itself; None if that is missing or damaged."""
    try:
        content = read_json(output_dir / PLACE_FILE)
        number, earlier = content["number"], content["earlier"]
        if type(number) is not int or number < 0 or not isinstance(earlier, list):
            return None
        return FolderIdentity(
            str(content["id"]), str(content["path"]), number, tuple(map(str, earlier))
        )
    except (UserError, LookupError, TypeError):
        return None


def _present(output_dir: Path) -> FolderIdentity:
    """The place as it is now: the recorded one, moved here, or a copy with an id of its own."""
    here, place = str(output_dir.resolve()), read_place(output_dir)
    if place is None:
        return _recovered(output_dir)
    if place.path == here:
        return place
    if _is_elsewhere(place, output_dir):
        return FolderIdentity(uuid.uuid4().hex, here, place.number, (*place.earlier, place.id))
    return replace(place, path=here)


def _is_elsewhere(place: FolderIdentity, output_dir: Path) -> bool:
    """Whether the folder that a copied file describes is still there, and is another one."""
    there = Path(place.path)
    try:
        if there.samefile(output_dir):  # mounted twice
            return False
    except OSError:
        return False
    other = read_place(there)
    return other is not None and other.id == place.id


def _recovered(output_dir: Path) -> FolderIdentity:
    """A place of which the file is missing or damaged; numbers continue after those in records."""
    number, ids = 0, dict[str, None]()
    for place in _recorded(output_dir):
        number = max(number, place.number)
        ids[place.id] = None
    return FolderIdentity(uuid.uuid4().hex, str(output_dir.resolve()), number, tuple(ids))


def _recorded(output_dir: Path) -> Iterator[record_parts.Place]:
    for name in (RUN_FILE, SWEEP_FILE):
        for file in records_in(output_dir, name):
            with suppress(UserError):
                if (place := read_record(file).place) is not None:
                    yield place


def _write(output_dir: Path, place: FolderIdentity) -> None:
    content = {"id": place.id, "path": place.path, "number": place.number}
    write_json(output_dir / PLACE_FILE, {**content, "earlier": place.earlier}, indent=None)
