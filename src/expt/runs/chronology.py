"""The order in which runs and sweeps were started.

It follows from the numbers that the folder of runs assigns to them. Clocks may be set back, and
names of directories depend on them.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from expt.errors import UserError
from expt.runs.atomic import read_json
from expt.runs.records import RUN_FILE, SWEEP_FILE, Record, read_record

PLACE_FILE = ".place.json"
"""The file with the identity of a folder of runs; see `folder_identity`."""

_ARTIFACTS = "mlartifacts"  # of MLflow; skipped, since it contains thousands of files and no runs

_Item = TypeVar("_Item")
_Order = tuple[int, float]


def records_in(folder: Path, name: str = RUN_FILE) -> Iterator[Path]:
    """Yields the record files with a name in a folder, at any depth."""
    for place, folders, files in os.walk(folder):
        if name in files:
            yield Path(place) / name
        # Runs are not nested, so their directories need not be searched.
        if RUN_FILE in files or name in files:
            folders.clear()
        elif _ARTIFACTS in folders:
            folders.remove(_ARTIFACTS)


def place_ids(output_dir: Path) -> frozenset[str] | None:
    """Returns the id of a folder of runs and those of its originals; None if unknown."""
    try:
        content = read_json(output_dir / PLACE_FILE)
        return frozenset((str(content["id"]), *map(str, content["earlier"])))
    except (UserError, LookupError, TypeError):
        return None


def sort_key(record: Record, ids: frozenset[str] | None) -> _Order:
    """Returns the sort key of a run or a sweep among those in the same folder.

    Records with a number of this folder are sorted by it. All others, which were written by
    versions without numbers or were copied from another folder, come first, sorted by start time.

    Args:
        record: Record of the run or the sweep.
        ids: Ids of the folder, from `place_ids`.
    """
    place = record.place
    if place is None or (ids is not None and place.id not in ids):
        return 0, record.started
    return place.number, record.started


def is_original(record: Record, directory: Path) -> bool:
    """Whether a run or a sweep is where it was started, and is not a copy within the folder."""
    if record.place is None:
        return (record.first_directory_name or directory.name) == directory.name
    # Compared from the end: the whole folder of runs may have been moved.
    parts = Path(record.place.directory).parts
    return directory.resolve().parts[-len(parts) :] == parts and record.copied_from is None


@dataclass(frozen=True)
class DatedRecord:
    """A record file and its position in the order of starts.

    Attributes:
        file: Path of the record.
        order: Sort key among the records of the same folder of runs.
        is_damaged: Whether the file can't be read; it is then sorted by its modification time.
    """

    file: Path
    order: tuple[int, float, bool]
    is_damaged: bool = False


def newest(files: Iterable[Path], output_dir: Path) -> Path | None:
    """Returns the record of the run or sweep that was started last; None if there is none.

    Of a run and its copy, the original is returned.

    Raises:
        UserError: A damaged record was modified later, so it may be the newest one.
    """
    dated = by_age(files, output_dir)
    found = next((one for one in reversed(dated) if not one.is_damaged), None)
    started = found.order[1] if found else 0.0
    for one in dated:
        if one.is_damaged and one.order[1] > started:
            raise UserError(
                f"{one.file} can't be read, and may be the latest. Restore the file from a backup, "
                "or pass the directory or name of a run or sweep."
            )
    return None if found is None else found.file


def by_age(files: Iterable[Path], output_dir: Path) -> Sequence[DatedRecord]:
    """Returns records in the order of their starts, the newest last."""
    ids = place_ids(output_dir)
    return sorted((_date_record(file, ids) for file in files), key=lambda one: one.order)


def sweeps_by_age(output_dir: Path) -> list[Path]:
    """Returns the directories of sweeps, the newest last; early versions wrote no sweep.json."""
    files = {file.parent: file for file in records_in(output_dir, SWEEP_FILE)}
    for folder in (output_dir / "sweeps").glob("*/*"):
        # A sweep without a record is dated by its last run.
        runs = sorted(folder.glob(f"*/{RUN_FILE}")) if folder not in files else []
        if runs:
            files[folder] = runs[-1]
    folders = {file: folder for folder, file in files.items()}
    return [folders[one.file] for one in by_age(sorted(folders), output_dir)]


def sort_by_start(
    items: Iterable[_Item], recorded: Callable[[_Item], tuple[float, str | None, int]]
) -> list[_Item]:
    """Sorts runs from several folders: by number within a folder, otherwise by start time.

    Args:
        items: The runs.
        recorded: Returns the start time of a run, the id of its folder, and its number there.
    """
    ordered = sorted(items, key=lambda item: recorded(item)[0])
    places = [recorded(item)[1] for item in ordered]
    # The runs of one folder are reordered among the positions that their start times give them.
    for place in set(places) - {None}:
        positions = [index for index, one in enumerate(places) if one == place]
        numbered = sorted((ordered[i] for i in positions), key=lambda item: recorded(item)[2])
        for index, item in zip(positions, numbered, strict=True):
            ordered[index] = item
    return ordered


def _date_record(file: Path, ids: frozenset[str] | None) -> DatedRecord:
    try:
        record = read_record(file)
        return DatedRecord(file, (*sort_key(record, ids), is_original(record, file.parent)))
    except UserError:
        # Shows whether the damaged record may be the latest one; see `newest`.
        try:
            changed = file.stat().st_mtime
        except OSError:
            changed = 0.0
        return DatedRecord(file, (0, changed, False), is_damaged=True)
