"""Detection of runs and sweeps that were moved or copied to another directory."""

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
from expt.runs.folder_identity import FolderIdentity, current_identity, relative
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
    """A record that was found in a folder of runs.

    Attributes:
        directory: The directory of the record.
        name: The first name of that directory.
        place: The place that the record states.
    """

    directory: Path
    name: str
    place: Place | None

    def rank(self, here: FolderIdentity) -> tuple[bool, bool, float]:
        """Returns a key that sorts the original before its copies.

        The original is the one at its recorded place. If there is none, it is the one whose
        directory has its first name, then the one with the oldest files: moving a folder keeps
        the change times of the files in it, copying creates new files.
        """
        place = self.place
        is_here = (
            place is not None
            and place.id in here.ids
            and self.directory == Path(here.path, place.directory)
        )
        changed = 0.0
        # A file that is written once, at the start of the run.
        with suppress(OSError):
            changed = (self.directory / ".hydra" / "config.yaml").stat().st_ctime
        return not is_here, self.name != self.directory.name, changed


@dataclass
class Copies:
    """A detector of copies; searches each folder of runs at most once, and only when needed."""

    _known: dict[tuple[Path, str], dict[str, list[_Found]]] = field(default_factory=dict)

    def settle(
        self, record: RunRecord | SweepRecord, directory: Path, output_dir: Path
    ) -> dict[str, Any]:
        """Returns the fields of a record that must change because of its current place.

        A copy becomes a separate run or sweep: it has a new id, for which MLflow gets a new run,
        and the ids of the original in `copied_from`. If a run or a sweep was moved, only its place
        changes.

        Args:
            record: The content of its run.json or sweep.json.
            directory: The current directory.
            output_dir: The folder of all runs.

        Returns:
            The new values by field; empty if nothing changes.
        """
        here, place = current_identity(output_dir), record.place
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
        """Whether the original still exists, in the same folder or at its recorded place."""
        # In the same folder, the best ranked directory is the original and all others are copies.
        place, directory = record.place, directory.resolve()
        alike = self._alike(output_dir.resolve(), record)
        if alike and min(alike, key=partial(_Found.rank, here=here)).directory != directory:
            return True
        has_store = is_embedded(output_dir) and database(output_dir).is_file()
        if place is not None and place.id in (here.ids if has_store else {here.id}):
            return False  # the whole folder was copied, and with it the store of its runs
        # The record comes from another folder: it is a copy if that folder still has it.
        recorded = Path(record.output_dir or output_dir)
        if not recorded.is_dir() or recorded.samefile(output_dir):
            return False
        return any(
            found.directory != directory for found in self._alike(recorded.resolve(), record)
        )

    def _alike(self, folder: Path, record: RunRecord | SweepRecord) -> list[_Found]:
        """Returns the records in a folder that belong to the same run or sweep as this one."""
        name = RUN_FILE if isinstance(record, RunRecord) else SWEEP_FILE
        known = self._known.setdefault((folder, name), {})
        if not known:
            for identity, found in _read(folder, name):
                known.setdefault(identity, []).append(found)
        return known.get(_identity_of(record), [])


def _identity_of(record: RunRecord | SweepRecord) -> str:
    """Returns a key that a run or a sweep shares with its copies."""
    # Records of earlier versions have no id.
    return record.id or str([record.label, record.started])


def update_sweep_place(copies: Copies, directory: Path, output_dir: Path) -> None:
    """Updates the sweep.json of a sweep if the sweep was moved or copied.

    Raises:
        UserError: The sweep.json is damaged.
    """
    record = read_sweep(directory)
    changes = copies.settle(record, directory, output_dir)
    if "id" in changes:
        changes["is_complete"] = False  # the copy has no run in MLflow yet
    if changes:
        write_sweep(directory, record.updated(changes))


def _origin(record: RunRecord | SweepRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "directory": record.place and record.place.directory,
        "mlflow": record.mlflow and record.mlflow.run_id,
    }


def _membership(record: RunRecord | SweepRecord, directory: Path) -> dict[str, Any]:
    """Returns the new `sweep` of a job that was copied together with its sweep; else nothing."""
    sweep = record.sweep if isinstance(record, RunRecord) else None
    if sweep is None:
        return {}
    # The sweep.json of a copied sweep has a new id once `update_sweep_place` has updated it.
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
