"""The order in which runs and sweeps began, by what was recorded and not by clocks or names."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from expt.errors import UserError
from expt.runs.atomic import read_json
from expt.runs.records import RUN_FILE, SWEEP_FILE, Record, read_record

PLACE_FILE = ".place.json"
"""The file in a folder of runs that says which folder it is."""

_ARTIFACTS = "mlartifacts"  # MLflow's: thousands of files, and no run among them

_Item = TypeVar("_Item")
_Order = tuple[int, float]


def records_in(folder: Path, name: str = RUN_FILE) -> Iterator[Path]:
    """Yields the files of a name in a folder, wherever runs and sweeps lie in it."""
    for place, folders, files in os.walk(folder):
        if name in files:
            yield Path(place) / name
        if RUN_FILE in files or name in files:
            folders.clear()
        elif _ARTIFACTS in folders:
            folders.remove(_ARTIFACTS)


def place_ids(output_dir: Path) -> frozenset[str] | None:
    """Returns the ids that a folder of runs has, or had before it was copied; None if unknown."""
    try:
        content = read_json(output_dir / PLACE_FILE)
        return frozenset((str(content["id"]), *map(str, content["earlier"])))
    except (UserError, LookupError, TypeError):
        return None


def order_of(record: Record, ids: frozenset[str] | None) -> _Order:
    """Returns a sort key of a run or a sweep among those in a folder.

    Numbers of the folder count first. What has none began before there were numbers, or comes
    from another folder; there the time when it started decides.

    Args:
        record: Its record.
        ids: The folder's, as `place_ids` returns them.
    """
    place = record.place
    if place is None or (ids is not None and place.id not in ids):
        return 0, record.started
    return place.number, record.started


def is_at_home(record: Record, directory: Path) -> bool:
    """Whether a run or a sweep lies where it began; a copy beside the original does not."""
    if record.place is None:
        return (record.first_directory_name or directory.name) == directory.name
    parts = Path(record.place.directory).parts
    return directory.resolve().parts[-len(parts) :] == parts and record.copied_from is None


@dataclass(frozen=True)
class Dated:
    """A record and when it began.

    Attributes:
        file: The record's.
        order: Among those in the same folder of runs.
        is_damaged: Whether the file can't be read, so that the time of its last change counts.
    """

    file: Path
    order: tuple[int, float, bool]
    is_damaged: bool = False


def newest(files: Iterable[Path], output_dir: Path) -> Path | None:
    """Returns the record that began last, of two copies the one that is where it was recorded.

    Raises:
        UserError: A damaged record was changed since, so that it may be the newest one.
    """
    dated = by_age(files, output_dir)
    found = next((one for one in reversed(dated) if not one.is_damaged), None)
    started = found.order[1] if found else 0.0
    for one in dated:
        if one.is_damaged and one.order[1] > started:
            raise UserError(
                f"{one.file} can't be read, and may be the latest. Put a copy of the file in its "
                "place if there is one, or name the run or sweep that is meant."
            )
    return None if found is None else found.file


def by_age(files: Iterable[Path], output_dir: Path) -> Sequence[Dated]:
    """Returns records by when they began, the newest last."""
    ids = place_ids(output_dir)
    return sorted((_dated(file, ids) for file in files), key=lambda one: one.order)


def sweeps_by_age(output_dir: Path) -> list[Path]:
    """Returns the directories of sweeps, the newest last; early ones have no sweep.json."""
    files = {file.parent: file for file in records_in(output_dir, SWEEP_FILE)}
    for folder in (output_dir / "sweeps").glob("*/*"):
        runs = sorted(folder.glob(f"*/{RUN_FILE}")) if folder not in files else []
        if runs:
            files[folder] = runs[-1]
    folders = {file: folder for folder, file in files.items()}
    return [folders[one.file] for one in by_age(sorted(folders), output_dir)]


def in_order(
    items: Iterable[_Item], recorded: Callable[[_Item], tuple[float, str | None, int]]
) -> list[_Item]:
    """Sorts runs of any folders: by number within a folder, else by when they started.

    Args:
        items: The runs.
        recorded: Returns of a run when it started, the id of its place, and its number there.
    """
    ordered = sorted(items, key=lambda item: recorded(item)[0])
    places = [recorded(item)[1] for item in ordered]
    for place in set(places) - {None}:
        positions = [index for index, one in enumerate(places) if one == place]
        numbered = sorted((ordered[i] for i in positions), key=lambda item: recorded(item)[2])
        for index, item in zip(positions, numbered, strict=True):
            ordered[index] = item
    return ordered


def _dated(file: Path, ids: frozenset[str] | None) -> Dated:
    try:
        record = read_record(file)
        return Dated(file, (*order_of(record, ids), is_at_home(record, file.parent)))
    except UserError:
        try:
            changed = file.stat().st_mtime
        except OSError:
            changed = 0.0
        return Dated(file, (0, changed, False), is_damaged=True)
