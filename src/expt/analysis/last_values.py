"""The last values in the journal of a run, for runs that have no final values yet."""

from pathlib import Path
from typing import Any

from expt.analysis.values import plain
from expt.errors import UserError
from expt.record.journal import FILE_NAME, complete_size, read_journal

_TAILS = (1 << 16, 1 << 20)  # bytes at the end of a journal that are searched for the last values


def last_values(directory: Path, wanted: str) -> tuple[dict[str, Any], str | None]:
    """Returns the last values in a run's journal, and the problem if the journal can't be read.

    Args:
        directory: The directory of the run.
        wanted: The metric that the result should contain, if the journal has it near its end.

    Returns:
        The last value of each key, and an error message or None.
    """
    # Journals may be large: only the end is read, and more of it if the metric is not found there.
    path, values = directory / FILE_NAME, dict[str, Any]()
    try:
        end = complete_size(path)
        for size in _TAILS:
            start = _line_start(path, max(0, end - size))
            for record in read_journal(path, start, end) if end else ():
                values |= record
            if wanted in values or start == 0:
                break
    except (UserError, OSError) as error:
        return values, plain(str(error))
    return values, None


def _line_start(path: Path, start: int) -> int:
    """Returns the position of the first line that begins at or after a position, in bytes."""
    if start == 0:
        return 0
    with path.open("rb") as file:
        file.seek(start - 1)
        file.readline()
        return file.tell()
