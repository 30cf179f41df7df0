"""The journal: metrics.jsonl, one JSON object a record, the truth from which all else follows."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from expt.record.recorder import Record, Scalars
from expt.record.run import Run, Status

FILE_NAME = "metrics.jsonl"


class Journal:
    """Writes each record as a line, in order, on the training thread.

    Values are written with the fewest digits that read back to the same float32. What JSON has no
    number for stands as a string that `float` reads: "nan", "inf", "-inf".
    """

    _file: IO[str]

    def open(self, run: Run) -> None:
        """Opens the file for appending."""
        self._file = (run.directory / FILE_NAME).open("a", encoding="utf-8")

    def write(self, record: Record) -> None:
        """Writes scalars; after it returns they survive the end of this process."""
        if isinstance(record, Scalars):
            self._file.writelines(_lines(record))
            self._file.flush()

    def close(self, status: Status) -> None:
        """Closes the file; after it returns the journal survives the end of the machine."""
        del status
        os.fsync(self._file.fileno())
        self._file.close()


def _lines(scalars: Scalars) -> Iterator[str]:
    columns = [_texts(column) for column in scalars.values.values()]
    names = [f", {json.dumps(name)}: " for name in scalars.values]
    rows = zip(scalars.steps, scalars.epochs, scalars.times, *columns, strict=True)
    for step, epoch, moment, *values in rows:
        numbers = "".join(map(str.__add__, names, values))
        yield f'{{"step": {step}, "epoch": {epoch}, "time": {moment:.6f}{numbers}}}\n'


def _texts(column: NDArray[np.float32]) -> list[str]:
    texts: list[str] = column.astype(str).tolist()
    if np.isfinite(column).all():
        return texts
    return [text if text[-1].isdigit() else json.dumps(text) for text in texts]


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the journal's records, values as floats."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            yield {key: float(value) if "/" in key else value for key, value in record.items()}
