"""Finds a run by its directory, its name, its MLflow id, or `latest`; or all runs in folders."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.errors import UserError
from expt.runs.chronology import (
    PLACE_FILE,
    is_original,
    newest,
    place_ids,
    records_in,
)
from expt.runs.damaged import damaged
from expt.runs.liveness import status_of
from expt.runs.names import all_named, directory_of, suggestion
from expt.runs.record_parts import Place
from expt.runs.records import NO_TASK, RUN_FILE, SWEEP_FILE, RunRecord, check_complete, read_run

RUN_KEYWORDS = ("latest", "best")
"""Words that a user may write in place of a run."""

_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 100  # bytes: file systems limit bytes, and a character can have four


@dataclass(frozen=True)
class FoundRun:
    """A run on disk.

    Attributes:
        directory: Absolute path of the run's directory.
        record: The run's record (run.json). The run may come from someone else, so no path in the
            record is ever used.
        output_dir: The folder of all runs, which also contains the embedded MLflow store.
    """

    directory: Path
    record: RunRecord
    output_dir: Path

    @property
    def model_file(self) -> Path:
        """Path of the saved best model.

        Raises:
            UserError: The run has not saved a model, or its record lacks a value needed to use it.
        """
        file = self.directory / "model.keras"
        if not file.is_file():
            raise UserError(
                f"{self.directory} has no model.keras: the run is {status_of(self.record)}, and no "
                "model has been saved yet."
            )
        # A run may come from someone else, and a link could lead to any file of this user.
        if file.resolve().parent != self.directory:
            raise UserError(f"{file} is a symbolic link to a file outside of the run's directory.")
        self.check_record()
        for key in ("best", "model_input_shape"):
            if getattr(self.record, key) is None:
                raise damaged(self.directory / RUN_FILE, key)
        return file

    @property
    def model_input_shape(self) -> tuple[Any, ...]:
        """The shape of a single input of the saved model, without the batch dimension."""
        return tuple(self.record.model_input_shape or ())

    @property
    def best_step(self) -> int:
        """The step of the saved best model; 0 if there is none."""
        return 0 if self.record.best is None else self.record.best.step

    def check_record(self) -> None:
        """Checks that the record has all values needed to resume the run or to use its model.

        Raises:
            UserError: A value is missing.
        """
        check_complete(self.directory, self.record)


def find_run(name: str, output_dir: Path) -> FoundRun:
    """Finds a run.

    Args:
        name: A run's directory, its name, `latest`, or an MLflow run id.
        output_dir: The folder of all runs, which is searched unless `name` is a directory.

    Raises:
        UserError: There is no such run, several runs have the name, or the run.json can't be read.
    """
    if name == "latest":
        newest = newest_run(output_dir)
        if newest is None:
            raise UserError(f"latest: there are no runs in {output_dir}.")
        return newest
    # Functions of os.path, since those of pathlib raise for names that no file can have.
    for directory in (Path(os.path.expanduser(name)), output_dir / name):  # noqa: PTH111
        if os.path.isfile(directory / RUN_FILE):  # noqa: PTH113
            return load_run(directory, output_dir)
    if _MLFLOW_ID.fullmatch(name):
        found = [run for run in _readable_runs(output_dir) if _mlflow_id(run) == name]
        if found:  # a copied run has the id of its original until it is resumed
            return max(found, key=lambda run: is_original(run.record, run.directory))
        raise UserError(f"{name}: no run in {output_dir} has this MLflow run id.")
    known = all_named(output_dir)
    named = directory_of(name, known, output_dir)
    if named is not None:
        return load_run(named, output_dir)
    raise UserError(
        f"{name}: there is no such run. Expected a run's directory (with a run.json), "
        f"'latest', 'best', or the name or MLflow id of a run in {output_dir}."
        f"{suggestion(name, [*RUN_KEYWORDS, *(one.name for one in known)])}"
    )


def find_runs(names: list[str], *, is_default: bool) -> list[Path]:
    """Returns the directories of all runs in some folders.

    Args:
        names: Directories of runs, or folders that contain runs.
        is_default: Whether `names` is the default because the user gave none; changes the error
            message.

    Returns:
        The directories, sorted within each folder by name and thus by time.

    Raises:
        UserError: A folder contains no runs.
    """
    found: dict[Path, None] = {}
    for name in names:
        inside = sorted(file.parent for file in records_in(Path(name)))
        if not inside:
            problem = "there are no runs" if is_default else "there is no such run"
            raise UserError(
                f"{name}: {problem}. Expected a run's directory (one that contains a run.json), or "
                "a folder of runs."
            )
        found |= dict.fromkeys(inside)
    return list(found)


def load_run(directory: Path, output_dir: Path) -> FoundRun:
    """Reads the run in a directory.

    Args:
        directory: Directory of the run.
        output_dir: The folder of all runs; used if it can't be derived from the directory.

    Raises:
        UserError: The record is missing or damaged.
    """
    record = read_run(directory)
    directory = directory.resolve()
    above = folder_above(directory, record.place, output_dir)
    return FoundRun(directory, record, above or output_dir.resolve())


def file_name(name: str) -> str:
    """Converts a name from a record to a safe part of a file name, without path separators."""
    plain = re.sub(r"[^\w+.-]+", "_", name).lstrip(".")
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore") or "_"


def folder_above(directory: Path, place: Place | None, given: Path | None = None) -> Path | None:
    """Returns the folder of all runs that contains a directory; None if it can't be determined.

    Args:
        directory: Resolved directory of a run or a sweep.
        place: The recorded place of the run or sweep. Only the id of the folder is used from it,
            not the path.
        given: The folder to assume if the directory is inside of it and nothing else identifies
            the folder.
    """
    marked = [parent for parent in directory.parents if (parent / PLACE_FILE).is_file()]
    # 1. By the id of the folder: certain, but older runs have none, and a copied run has another's.
    for parent in marked if place else ():
        if place is not None and place.id in (place_ids(parent) or ()):
            return parent
    # 2. By the layout: runs/DATE/RUN, sweeps/DATE/SWEEP/RUN, or for a sweep sweeps/DATE/SWEEP.
    is_sweep = (directory / SWEEP_FILE).is_file()
    for depth, name in ((1, "sweeps" if is_sweep else "runs"), (2, "sweeps")):
        if len(directory.parents) > depth + 1 and directory.parents[depth].name == name:
            return directory.parents[depth + 1]
    # 3. By the folder that the user works with, then by any folder with an identity.
    if given is not None and directory.is_relative_to(given.resolve()):
        return given.resolve()
    return next(iter(marked), None)


def newest_run(output_dir: Path) -> FoundRun | None:
    """Returns the run that was started last, at any depth in a folder; None if there is none.

    Runs that trained no model, with figures of `expt.gradients`, do not count.

    Raises:
        UserError: The record of a run that may be newer is damaged.
    """
    files = list(records_in(output_dir))
    while file := newest(files, output_dir):
        run = load_run(file.parent, output_dir)
        if run.record.data.task != NO_TASK:
            return run
        files.remove(file)
    return None


def _mlflow_id(run: FoundRun) -> str | None:
    return None if run.record.mlflow is None else run.record.mlflow.run_id


def _readable_runs(output_dir: Path) -> Iterator[FoundRun]:
    """Yields the runs whose records can be read; damaged runs must not hide the others."""
    for file in records_in(output_dir):
        with suppress(UserError):
            yield load_run(file.parent, output_dir)
