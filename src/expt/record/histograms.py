"""The histograms of a run: `histograms.jsonl`, with one JSON object per histogram."""

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np

from expt.record.journal import complete_size
from expt.record.recorder import Histogram, Record
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
HISTOGRAMS = "histograms"
"""The name of the sink."""
_FILE_NAME = "histograms.jsonl"


class HistogramRecorder:
    """A recorder that writes each histogram as a line; without histograms there is no file."""

    _path: Path
    _file: BinaryIO | None = None

    def open(self, run: Run) -> None:
        """Removes an incomplete last line of a killed process."""
        self._path = run.directory / _FILE_NAME
        if self._path.exists():
            with self._path.open("r+b") as file:
                file.truncate(complete_size(self._path))

    def write(self, record: Record) -> None:
        """Writes a histogram."""
        if isinstance(record, Histogram):
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            values = asdict(record) | {
                "edges": record.edges.tolist(),
                "counts": record.counts.tolist(),
            }
            self._file.write(f"{json.dumps(values)}\n".encode())

    def close(self, status: Status) -> None:
        """Closes the file."""
        del status
        file, self._file = self._file, None
        if file is not None:
            file.close()


def read_histograms(directory: Path) -> Iterator[Histogram]:
    """Yields the histograms of a run, in the order in which they were recorded.

    A damaged line is skipped with a warning.

    Args:
        directory: The run's directory.
    """
    path = directory / _FILE_NAME
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                values = json.loads(line)
                values["edges"] = np.array(values["edges"], np.float64)
                values["counts"] = np.array(values["counts"], np.int64)
                yield Histogram(**values)
            except (ValueError, TypeError, KeyError) as error:
                # The last line of a killed process is incomplete.
                _log.warning("%s, line %d is skipped: %s.", path, number, error)


def histogram_keys(directory: Path) -> Iterator[tuple[str, int]]:
    """Yields the name and the step of each histogram that `read_histograms` yields."""
    for histogram in read_histograms(directory):
        yield histogram.name, histogram.step
