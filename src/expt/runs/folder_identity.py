"""The identity of a folder of runs, and the numbers that it assigns to runs and sweeps.

The file `.place.json` contains an id, which records refer to. The id shows whether a folder has
been moved or copied: a moved folder keeps its id, a copied one gets a new id.
"""

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
    """The identity of a folder of runs.

    Attributes:
        id: Id of the folder. It stays the same when the folder is moved; a copy gets a new one.
        path: Path of the folder when the file was last written.
        number: The number last assigned to a run or a sweep.
        earlier: Ids of the folders that this folder was copied from.
    """

    id: str
    path: str
    number: int = 0
    earlier: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """All ids that records in the folder may refer to."""
        return frozenset((self.id, *self.earlier))


def assign_number(output_dir: Path, directory: Path) -> dict[str, Any] | None:
    """Assigns the next number of a folder to a new run or sweep.

    Numbers define the order of starts, independently of clocks and time zones. No number is
    assigned twice: the file is written before the number is used, so a crash leaves a gap at most.

    Args:
        output_dir: The folder of all runs; created if the directory is inside of it.
        directory: Directory of the run or the sweep.

    Returns:
        The `place` of run.json or sweep.json: id of the folder, directory relative to it, and
        number. None if the directory is outside of `output_dir` and that does not exist.

    Raises:
        OSError: The file can't be written, other than for lack of permission.
    """
    if not directory.resolve().is_relative_to(output_dir.resolve()) and not output_dir.is_dir():
        return None
    output_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output_dir / _LOCK, timeout=_SECONDS_TO_WAIT):
            place = _current_identity(output_dir)
            place = replace(place, number=place.number + 1)
            _write(output_dir, place)
    except OSError as error:
        if error.errno not in _NOT_ALLOWED and not isinstance(error, TimeoutError):
            raise
        # A folder of another user, in which only the run's directory is writable. The number may
        # then be assigned again; the start time decides between equal numbers.
        place = read_identity(output_dir) or _recover_identity(output_dir)
        place = replace(place, number=max(place.number, _recover_identity(output_dir).number) + 1)
    return {
        "id": place.id,
        "directory": relative(directory, output_dir),
        "number": place.number,
    }


def current_identity(output_dir: Path) -> FolderIdentity:
    """Returns the identity of a folder, and updates its file if it has been moved or copied."""
    try:
        with FileLock(output_dir / _LOCK, timeout=_SECONDS_TO_WAIT):
            place = _current_identity(output_dir)
            if place != read_identity(output_dir):
                _write(output_dir, place)
            return place
    except OSError as error:
        if error.errno not in _NOT_ALLOWED and not isinstance(error, TimeoutError):
            raise
        return _current_identity(output_dir)


def relative(directory: Path, output_dir: Path) -> str:
    """Returns a directory relative to the folder of all runs, with slashes, as records store it."""
    return Path(os.path.relpath(directory.resolve(), output_dir.resolve())).as_posix()


def read_identity(output_dir: Path) -> FolderIdentity | None:
    """Reads the identity of a folder; None if its file is missing or damaged."""
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


def _current_identity(output_dir: Path) -> FolderIdentity:
    """Returns the current identity: as recorded, with a new path if moved, a new id if copied."""
    here, place = str(output_dir.resolve()), read_identity(output_dir)
    if place is None:
        return _recover_identity(output_dir)
    if place.path == here:
        return place
    if _is_elsewhere(place, output_dir):
        return FolderIdentity(uuid.uuid4().hex, here, place.number, (*place.earlier, place.id))
    return replace(place, path=here)


def _is_elsewhere(place: FolderIdentity, output_dir: Path) -> bool:
    """Whether the recorded folder still exists at its path and is a different one: the original."""
    there = Path(place.path)
    try:
        if there.samefile(output_dir):  # the same folder under two paths, such as two mounts
            return False
    except OSError:
        return False
    # Another id means that the original was removed, and a new folder is in its place.
    other = read_identity(there)
    return other is not None and other.id == place.id


def _recover_identity(output_dir: Path) -> FolderIdentity:
    """Returns a new identity for a missing or damaged file; numbers continue those of records."""
    number, ids = 0, dict[str, None]()
    for place in _recorded_places(output_dir):
        number = max(number, place.number)
        ids[place.id] = None
    return FolderIdentity(uuid.uuid4().hex, str(output_dir.resolve()), number, tuple(ids))


def _recorded_places(output_dir: Path) -> Iterator[record_parts.Place]:
    for name in (RUN_FILE, SWEEP_FILE):
        for file in records_in(output_dir, name):
            with suppress(UserError):
                if (place := read_record(file).place) is not None:
                    yield place


def _write(output_dir: Path, place: FolderIdentity) -> None:
    content = {"id": place.id, "path": place.path, "number": place.number}
    write_json(output_dir / PLACE_FILE, {**content, "earlier": place.earlier}, indent=None)
