"""Finding a run by what a user calls it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.errors import UserError

_RUN_FILE = "run.json"
_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class FoundRun:
    """A run on disk.

    Attributes:
        directory: Its directory, absolute.
        record: The content of its run.json.
    """

    directory: Path
    record: dict[str, Any]

    @property
    def output_dir(self) -> Path:
        """The folder of all runs, which holds the embedded MLflow store."""
        folders = (p for p in self.directory.parents if p.name in ("runs", "sweeps"))
        folder = next(folders, None)
        return folder.parent if folder else Path(self.record["output_dir"])

    @property
    def model_file(self) -> Path:
        """The saved best model.

        Raises:
            UserError: The run left none.
        """
        file = self.directory / "model.keras"
        if not file.is_file():
            raise UserError(
                f"{self.directory} has no model.keras: the run is {self.record['status']}, and no "
                "model has been saved yet."
            )
        return file


def find_run(name: str, output_dir: Path) -> FoundRun:
    """Finds a run.

    Args:
        name: A run's directory, `latest`, or an MLflow run id.
        output_dir: Where to look for the latter two.

    Raises:
        UserError: There is no such run, or its run.json can't be read.
    """
    if name == "latest":
        return _latest(output_dir)
    for directory in (Path(name).expanduser(), output_dir / name):
        if (directory / _RUN_FILE).is_file():
            return read_run(directory)
    if _MLFLOW_ID.fullmatch(name):
        for file in _run_files(output_dir):
            run = read_run(file.parent)
            if (run.record.get("mlflow") or {}).get("run_id") == name:
                return run
        raise UserError(f"{name}: no run in {output_dir} has this MLflow run id.")
    raise UserError(
        f"{name}: there is no run. Expected a run's directory (one that holds a run.json), "
        f"'latest', or the id of an MLflow run in {output_dir}."
    )


def read_run(directory: Path) -> FoundRun:
    """Reads a run's run.json.

    Raises:
        UserError: It is damaged.
    """
    file = directory / _RUN_FILE
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} can't be read: {error}") from error
    if not isinstance(record, dict) or "status" not in record:
        raise UserError(f"{file} is not the record of a run.")
    return FoundRun(directory.resolve(), record)


def _latest(output_dir: Path) -> FoundRun:
    """The run that started last; day folders and names begin with the time."""
    newest = []
    for kind, depth in (("runs", "*/*"), ("sweeps", "*/*")):
        folders = sorted((output_dir / kind).glob(depth), reverse=True)
        for folder in folders:
            found = [read_run(file.parent) for file in _run_files(folder)]
            if found:
                newest.append(max(found, key=lambda run: float(run.record["started"])))
                break
    if not newest:
        raise UserError(f"latest: there are no runs in {output_dir}.")
    return max(newest, key=lambda run: float(run.record["started"]))


def _run_files(folder: Path) -> Iterator[Path]:
    yield from folder.rglob(_RUN_FILE)
