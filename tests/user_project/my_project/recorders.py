"""Recorders of my own."""

from typing import TextIO

from expt.record.recorder import Record, Scalars
from expt.runs.run import Run, Status


class CsvRecorder:
    """Writes each value of one metric to a CSV file in the run's directory.

    Args:
        metric: The full name of the metric.
    """

    _file: TextIO

    def __init__(self, *, metric: str) -> None:
        self._metric = metric

    def open(self, run: Run) -> None:
        """Opens the file of a run; appends to that of a resumed one."""
        path = run.directory / f"{self._metric.replace('/', '_')}.csv"
        self._file = path.open("a", encoding="utf-8")
        if not run.is_resumed:
            self._file.write("step,value\n")

    def write(self, record: Record) -> None:
        """Writes a line per step; images and models are ignored."""
        if isinstance(record, Scalars) and self._metric in record.values:
            for step, value in zip(record.steps, record.values[self._metric], strict=True):
                self._file.write(f"{step},{value:.6g}\n")

    def close(self, status: Status) -> None:
        """Closes the file."""
        del status
        self._file.close()
