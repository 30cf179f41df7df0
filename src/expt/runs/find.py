"""Finding a run by what a user calls it."""

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
    is_at_home,
    newest,
    place_ids,
    records_in,
)
from expt.runs.liveness import status_of
from expt.runs.names import all_named, directory_of, suggestion
from expt.runs.record_parts import Place
from expt.runs.records import RUN_FILE, SWEEP_FILE, RunRecord, check_complete, damaged, read_run

WORDS = ("latest", "best")
"""What stands for a run without naming it."""

_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_NAME = 100  # bytes, which file systems count; a letter can have four


@dataclass(frozen=True)
class FoundRun:
    """A run on disk.

    Attributes:
        directory: Its directory, absolute.
        record: The content of its run.json, which may come from elsewhere: no path in it is used.
        output_dir: The folder of all runs, which holds the embedded MLflow store.
    """

    directory: Path
    record: RunRecord
    output_dir: Path

    @property
    def model_file(self) -> Path:
        """The saved best model.

        Raises:
            UserError: The run left none, or its record lacks what is needed to use it.
        """
        file = self.directory / "model.keras"
        if not file.is_file():
            raise UserError(
                f"{self.directory} has no model.keras: the run is {status_of(self.record)}, and no "
                "model has been saved yet."
            )
        if file.resolve().parent != self.directory:
            raise UserError(f"{file} is a link that leads outside of the run's directory.")
        self.check_record()
        for key in ("best", "model_input_shape"):
            if getattr(self.record, key) is None:
                raise damaged(self.directory / RUN_FILE, key)
        return file

    @property
    def model_input_shape(self) -> tuple[Any, ...]:
        """The shape of an input of the saved model, the batch left out."""
        return tuple(self.record.model_input_shape or ())

    @property
    def best_step(self) -> int:
        """The step at which the model was saved."""
        return 0 if self.record.best is None else self.record.best.step

    def check_record(self) -> None:
        """Checks that the record has what going on with the run, or using its model, takes.

        Raises:
            UserError: Something is missing or wrong.
        """
        check_complete(self.directory, self.record)


def find_run(name: str, output_dir: Path) -> FoundRun:
    """Finds a run.

    Args:
        name: A run's directory, its name, `latest`, or an MLflow run id.
        output_dir: Where to look for the latter three.

    Raises:
        UserError: There is no such run, several have the name, or its run.json can't be read.
    """
    if name == "latest":
        newest = newest_run(output_dir)
        if newest is None:
            raise UserError(f"latest: there are no runs in {output_dir}.")
        return newest
    # Those of os.path never raise, whatever the name is.
    for directory in (Path(os.path.expanduser(name)), output_dir / name):  # noqa: PTH111
        if os.path.isfile(directory / RUN_FILE):  # noqa: PTH113
            return load_run(directory, output_dir)
    if _MLFLOW_ID.fullmatch(name):
        found = [run for run in _readable_runs(output_dir) if _mlflow_id(run) == name]
        if found:  # a copy names the original's, until it is continued
            return max(found, key=lambda run: is_at_home(run.record, run.directory))
        raise UserError(f"{name}: no run in {output_dir} has this MLflow run id.")
    known = all_named(output_dir)
    named = directory_of(name, known, output_dir)
    if named is not None:
        return load_run(named, output_dir)
    raise UserError(
        f"{name}: there is no run. Expected a run's directory (one that holds a run.json), "
        f"'latest', 'best', or the name or MLflow id of a run in {output_dir}."
        f"{suggestion(name, [*WORDS, *(one.name for one in known)])}"
    )


def load_run(directory: Path, output_dir: Path) -> FoundRun:
    """Reads the run in a directory.

    Args:
        directory: The run's.
        output_dir: The folder of all runs, unless the directory lies in another one.

    Raises:
        UserError: It is damaged.
    """
    record = read_run(directory)
    directory = directory.resolve()
    above = folder_above(directory, record.place, output_dir)
    return FoundRun(directory, record, above or output_dir.resolve())


def file_name(name: str) -> str:
    """Returns a name from a record as part of a file's name, which leads to no other folder."""
    plain = re.sub(r"[^\w+.-]+", "_", name).lstrip(".")
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore") or "_"


def folder_above(directory: Path, place: Place | None, given: Path | None = None) -> Path | None:
    """Returns the folder of all runs that a directory lies in; None if there is no sign of one.

    Args:
        directory: A run's or a sweep's, resolved.
        place: What its record says of its place. No path in it is used, only the folder's id.
        given: What is taken to be the folder if the directory lies in it.
    """
    marked = [parent for parent in directory.parents if (parent / PLACE_FILE).is_file()]
    for parent in marked if place else ():
        if place is not None and place.id in (place_ids(parent) or ()):
            return parent
    # RUNS/DATE/RUN or SWEEPS/DATE/SWEEP/RUN, or of a sweep SWEEPS/DATE/SWEEP
    is_sweep = (directory / SWEEP_FILE).is_file()
    for depth, name in ((1, "sweeps" if is_sweep else "runs"), (2, "sweeps")):
        if len(directory.parents) > depth + 1 and directory.parents[depth].name == name:
            return directory.parents[depth + 1]
    if given is not None and directory.is_relative_to(given.resolve()):
        return given.resolve()
    return next(iter(marked), None)


def newest_run(output_dir: Path) -> FoundRun | None:
    """Returns the run that began last, wherever in the folder it lies.

    Raises:
        UserError: Its record is damaged, or one is that may be newer.
    """
    file = newest(records_in(output_dir), output_dir)
    return None if file is None else load_run(file.parent, output_dir)


def _mlflow_id(run: FoundRun) -> str | None:
    return None if run.record.mlflow is None else run.record.mlflow.run_id


def _readable_runs(output_dir: Path) -> Iterator[FoundRun]:
    """A damaged run does not keep others from being found."""
    for file in records_in(output_dir):
        with suppress(UserError):
            yield load_run(file.parent, output_dir)
