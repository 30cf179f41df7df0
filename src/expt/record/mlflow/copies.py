"""Runs and sweeps that lie elsewhere than their records say: they were moved, or are copies."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from expt.errors import UserError
from expt.record.mlflow.store import database, is_embedded
from expt.runs.chronology import records_in
from expt.runs.folder_identity import FolderIdentity, relative, settled
from expt.runs.record_parts import Place
from expt.runs.records import (
    RUN_FILE,
    SWEEP_FILE,
    RunRecord,
    SweepRecord,
    read_record,
    read_sweep,
    write_sweep,
)


@dataclass(frozen=True)
class _Found:
    """A record in a folder of runs.

    Attributes:
        directory: Where it lies.
        name: What the directory was called at first.
        place: What it says of its place.
    """

    directory: Path
    name: str
    place: Place | None

    def rank(self, here: FolderIdentity) -> tuple[bool, bool, float]:
        """Sorts the original before its copies.

        It is where it was recorded, or if none is, it has its first name, or its files are older:
        moving a folder leaves the times of what is in it, copying makes new files.
        """
        place = self.place
        is_here = (
            place is not None
            and place.id in here.ids
            and self.directory == Path(here.path, place.directory)
        )
        changed = 0.0
        with suppress(OSError):
            changed = (self.directory / ".hydra" / "config.yaml").stat().st_ctime
        return not is_here, self.name != self.directory.name, changed


@dataclass
class Copies:
    """Tells copies from originals; each folder of runs is searched once, and only if need be."""

    _known: dict[tuple[Path, str], dict[str, list[_Found]]] = field(default_factory=dict)

    def settle(
        self, record: RunRecord | SweepRecord, directory: Path, output_dir: Path
    ) -> dict[str, Any]:
        """Returns what changes in a record because of where it lies by now.

        A copy becomes a run, or a sweep, of its own: with another id, so that it gets another run
        in MLflow, and the original's under `copied_from`. What was moved only notes its new place.

        Args:
            record: The content of its run.json or sweep.json.
            directory: Where it lies.
            output_dir: The folder of all runs.
        """
        here, place = settled(output_dir), record.place
        within = relative(directory, output_dir)
        changes: dict[str, Any] = {}
        if place is None or (place.id, place.directory) != (here.id, within):
            number = place.number if place is not None and place.id in here.ids else 0
            changes["place"] = {"id": here.id, "directory": within, "number": number}
            changes["output_dir"] = str(output_dir.absolute())
            if self._is_copy(record, directory, output_dir, here):
                changes |= {"id": uuid.uuid4().hex, "mlflow": None, "copied_from": _origin(record)}
        return changes | _membership(record, directory)

    def _is_copy(
        self,
        record: RunRecord | SweepRecord,
        directory: Path,
        output_dir: Path,
        here: FolderIdentity,
    ) -> bool:
        """Whether the original is still there: beside the copy, or where it was recorded."""
        place, directory = record.place, directory.resolve()
        alike = self._alike(output_dir.resolve(), record)
        if alike and min(alike, key=partial(_Found.rank, here=here)).directory != directory:
            return True
        has_store = is_embedded(output_dir) and database(output_dir).is_file()
        if place is not None and place.id in (here.ids if has_store else {here.id}):
            return False  # with a folder that was copied whole, the store was copied too
        recorded = Path(record.output_dir or output_dir)
        if not recorded.is_dir() or recorded.samefile(output_dir):
            return False
        return any(
            found.directory != directory for found in self._alike(recorded.resolve(), record)
        )

    def _alike(self, folder: Path, record: RunRecord | SweepRecord) -> list[_Found]:
        """The records in a folder that are this one's."""
        name = RUN_FILE if isinstance(record, RunRecord) else SWEEP_FILE
        known = self._known.setdefault((folder, name), {})
        if not known:
            for identity, found in _read(folder, name):
                known.setdefault(identity, []).append(found)
        return known.get(_identity_of(record), [])


def _identity_of(record: RunRecord | SweepRecord) -> str:
    """Returns what a run or a sweep and its copies have in common."""
    return record.id or str([record.label, record.started])


def settled_sweep(copies: Copies, directory: Path, output_dir: Path) -> None:
    """Writes into the sweep.json of a sweep that it was moved or copied, if it was.

    Raises:
        UserError: The sweep.json is damaged.
    """
    record = read_sweep(directory)
    changes = copies.settle(record, directory, output_dir)
    if "id" in changes:
        changes["is_complete"] = False  # in MLflow
    if changes:
        write_sweep(directory, record.updated(changes))


def _origin(record: RunRecord | SweepRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "directory": record.place and record.place.directory,
        "mlflow": record.mlflow and record.mlflow.run_id,
    }


def _membership(record: RunRecord | SweepRecord, directory: Path) -> dict[str, Any]:
    """The sweep that a job is in, if it was copied with the job and is another one by now."""
    sweep = record.sweep if isinstance(record, RunRecord) else None
    if sweep is None:
        return {}
    try:
        of_folder = read_sweep(directory.parent)
    except UserError:
        return {}
    if of_folder.id is None or of_folder.id == sweep.id:
        return {}
    name = of_folder.label or directory.parent.name
    return {"sweep": {**sweep.to_mapping(), "id": of_folder.id, "name": name}}


def _read(folder: Path, name: str) -> Iterator[tuple[str, _Found]]:
    for file in records_in(folder, name):
        with suppress(UserError):
            record, directory = read_record(file), file.parent.resolve()
            first_name = record.first_directory_name or directory.name
            yield _identity_of(record), _Found(directory, first_name, record.place)
