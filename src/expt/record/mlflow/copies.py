"""Runs and sweeps that lie elsewhere than their records say: they were moved, or are copies."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from expt.record.mlflow.store import database, is_embedded
from expt.runs.chronology import records_in
from expt.runs.folder_identity import FolderIdentity, relative, settled
from expt.runs.records import RUN_FILE, SWEEP_FILE


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
    place: Mapping[str, Any]

    def rank(self, here: FolderIdentity) -> tuple[bool, bool, float]:
        """Sorts the original before its copies.

        It is where it was recorded, or if none is, it has its first name, or its files are older:
        moving a folder leaves the times of what is in it, copying makes new files.
        """
        claims = self.place.get("id") in here.ids
        is_here = claims and self.directory == Path(here.path, str(self.place.get("directory")))
        changed = 0.0
        with suppress(OSError):
            changed = (self.directory / ".hydra" / "config.yaml").stat().st_ctime
        return not is_here, self.name != self.directory.name, changed


@dataclass
class Copies:
    """Tells copies from originals; each folder of runs is searched once, and only if need be."""

    _known: dict[tuple[Path, str], dict[str, list[_Found]]] = field(default_factory=dict)

    def settle(
        self, record: Mapping[str, Any], directory: Path, output_dir: Path, name: str = RUN_FILE
    ) -> dict[str, Any]:
        """Returns what changes in a record because of where it lies by now.

        A copy becomes a run, or a sweep, of its own: with another id, so that it gets another run
        in MLflow, and the original's under `copied_from`. What was moved only notes its new place.

        Args:
            record: The content of its run.json or sweep.json.
            directory: Where it lies.
            output_dir: The folder of all runs.
            name: Which of these two files it is.
        """
        here, place = settled(output_dir), record.get("place") or {}
        within = relative(directory, output_dir)
        changes: dict[str, Any] = {}
        if (place.get("id"), place.get("directory")) != (here.id, within):
            number = place.get("number", 0) if place.get("id") in here.ids else 0
            changes["place"] = {"id": here.id, "directory": within, "number": number}
            changes["output_dir"] = str(output_dir.absolute())
            if self._is_copy(record, directory, output_dir, here, name):
                changes |= {"id": uuid.uuid4().hex, "mlflow": None, "copied_from": _origin(record)}
        return changes | _membership(record, directory)

    def _is_copy(
        self,
        record: Mapping[str, Any],
        directory: Path,
        output_dir: Path,
        here: FolderIdentity,
        name: str,
    ) -> bool:
        """Whether the original is still there: beside the copy, or where it was recorded."""
        place, directory = record.get("place") or {}, directory.resolve()
        alike = self._alike(output_dir.resolve(), name, record)
        if alike and min(alike, key=partial(_Found.rank, here=here)).directory != directory:
            return True
        has_store = is_embedded(output_dir) and database(output_dir).is_file()
        if place.get("id") in (here.ids if has_store else {here.id}):
            return False  # with a folder that was copied whole, the store was copied too
        recorded = Path(str(record.get("output_dir", output_dir)))
        if not recorded.is_dir() or recorded.samefile(output_dir):
            return False
        return any(
            found.directory != directory for found in self._alike(recorded.resolve(), name, record)
        )

    def _alike(self, folder: Path, name: str, record: Mapping[str, Any]) -> list[_Found]:
        """The records in a folder that are this one's."""
        known = self._known.setdefault((folder, name), {})
        if not known:
            for identity, found in _read(folder, name):
                known.setdefault(identity, []).append(found)
        return known.get(identity_of(record), [])


def identity_of(record: Mapping[str, Any]) -> str:
    """Returns what a run or a sweep and its copies have in common."""
    return str(record.get("id") or [record.get("run_name"), record.get("started")])


def settled_sweep(copies: Copies, directory: Path, output_dir: Path) -> None:
    """Lets the sweep.json of a sweep that was moved or copied say so."""
    file = directory / SWEEP_FILE
    content = json.loads(file.read_text(encoding="utf-8"))
    changes = copies.settle(content, directory, output_dir, SWEEP_FILE)
    if "id" in changes:
        changes["is_complete"] = False  # in MLflow
    if changes:
        partial_file = directory / f"partial-{SWEEP_FILE}"
        text = json.dumps({**content, **changes}, indent=2)
        partial_file.write_text(text + "\n", encoding="utf-8")
        partial_file.replace(file)


def _origin(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": record.get("id"),
        "directory": (record.get("place") or {}).get("directory"),
        "mlflow": (record.get("mlflow") or {}).get("run_id"),
    }


def _membership(record: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The sweep that a job is in, if it was copied with the job and is another one by now."""
    sweep = record.get("sweep")
    try:
        content = json.loads((directory.parent / SWEEP_FILE).read_text(encoding="utf-8"))
        if sweep is None or content["id"] == sweep["id"]:
            return {}
        name = str(content.get("sweep_name") or directory.parent.name)
        return {"sweep": {**sweep, "id": str(content["id"]), "name": name}}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _read(folder: Path, name: str) -> Iterator[tuple[str, _Found]]:
    for file in records_in(folder, name):
        with suppress(OSError, ValueError, AttributeError, TypeError, RecursionError):
            record = json.loads(file.read_text(encoding="utf-8"))
            directory = file.parent.resolve()
            place = record.get("place") or {}
            run_name = record.get("run_name", directory.name)
            first_name = str(record.get("directory_name", run_name))
            if place.get("directory") is not None:
                first_name = Path(str(place["directory"])).name
            yield identity_of(record), _Found(directory, first_name, place)
