"""Search for the MLflow store of a folder of runs."""

from contextlib import suppress
from pathlib import Path

from expt.errors import UserError
from expt.record.mlflow.store import database
from expt.runs.chronology import PLACE_FILE, records_in
from expt.runs.find import load_run


def store_folder(folder: Path) -> Path:
    """Returns the folder of all runs, which contains the MLflow store.

    Args:
        folder: The folder of all runs, or a folder in it, such as that of a sweep.

    Returns:
        The folder of all runs to which the runs in `folder` belong; `folder` if there is none.
    """
    if (folder / PLACE_FILE).is_file() or database(folder).exists():
        return folder
    for file in records_in(folder):
        with suppress(UserError):  # a damaged run; any other one has the same folder
            above = load_run(file.parent, folder).output_dir
            return above if folder.resolve().is_relative_to(above) else folder
    return folder
