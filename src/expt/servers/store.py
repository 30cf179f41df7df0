"""Where the MLflow store of some runs is: in the folder of all runs, which may lie above them."""

from contextlib import suppress
from pathlib import Path

from expt.errors import UserError
from expt.record.mlflow.store import database
from expt.runs.chronology import PLACE_FILE, records_in
from expt.runs.find import load_run


def folder_of_store(folder: Path) -> Path:
    """Returns the folder of all runs that some runs belong to.

    Args:
        folder: That folder, or one in it: of a sweep, of a run, of a day.

    Returns:
        The folder itself if no other one has its runs.
    """
    if (folder / PLACE_FILE).is_file() or database(folder).exists():
        return folder
    for file in records_in(folder):
        with suppress(UserError):  # a damaged run; the next one will do
            above = load_run(file.parent, folder).output_dir
            return above if folder.resolve().is_relative_to(above) else folder
    return folder
