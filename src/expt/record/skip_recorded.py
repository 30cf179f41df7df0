"""A recorder that skips records which a previous process of the run has already written.

A resumed run repeats the steps between its last checkpoint and the end of the previous process.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from expt.record.histograms import histogram_keys
from expt.record.journal import FILE_NAME, read_journal
from expt.record.recorder import Histogram, Image, Record, Recorder, Scalars
from expt.record.replay import image_keys
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)


class SkipRecorded:
    """A recorder that passes on only the records that are not in the run's files yet.

    The values of repeated steps must be equal bit for bit; the first one that differs is logged
    as a warning.
    """

    _repeated: Iterator[Mapping[str, Any]]
    _next: Mapping[str, Any] | None
    _images: set[tuple[str, int]]
    _histograms: set[tuple[str, int]]

    def __init__(self, recorder: Recorder, step: int) -> None:
        """Wraps a recorder.

        Args:
            recorder: The recorder of new records.
            step: The step of the checkpoint from which training continues.
        """
        self._recorder, self._step = recorder, step
        self._has_warned = False

    def open(self, run: Run) -> None:
        """Opens the recorder and the journal of the previous processes."""
        self._repeated = self._after_checkpoint(run) if run.recorded else iter(())
        self._next = next(self._repeated, None)
        self._images = set(image_keys(run.directory)) if run.is_resumed else set()
        self._histograms = set(histogram_keys(run.directory)) if run.is_resumed else set()
        self._recorder.open(run)

    def write(self, record: Record) -> None:
        """Passes on the new part of a record."""
        if isinstance(record, Image) and (record.name, record.step) in self._images:
            return
        if isinstance(record, Histogram) and (record.name, record.step) in self._histograms:
            return
        if isinstance(record, Scalars) and self._next is not None:
            count = self._count_repeated(record)
            if count == len(record.steps):
                return
            record = _from(record, count)
        self._recorder.write(record)

    def close(self, status: Status) -> None:
        """Closes the recorder."""
        self._recorder.close(status)

    def _after_checkpoint(self, run: Run) -> Iterator[Mapping[str, Any]]:
        """Yields the records that were written after the checkpoint was saved."""
        # Up to `recorded`, the journal's size at the start: this process appends to the same file.
        for record in read_journal(run.directory / FILE_NAME, end=run.recorded):
            # Test values are recorded after the last checkpoint, whatever their step.
            is_test = any(name.startswith("test/") for name in record)
            if record["step"] > self._step or is_test:
                yield record

    def _count_repeated(self, scalars: Scalars) -> int:
        """Returns how many of the first records the journal already has."""
        for count, step in enumerate(scalars.steps.tolist()):
            while self._next is not None and self._next["step"] < step:
                self._next = next(self._repeated, None)
            previous = self._next
            if previous is None or previous["step"] != step:
                return count
            # A record of the same step with other metrics is another record, an evaluation say.
            if not scalars.values.keys() <= previous.keys():
                return count
            self._compare(scalars, count, previous)
            self._next = next(self._repeated, None)
        return len(scalars.steps)

    def _compare(self, scalars: Scalars, index: int, previous: Mapping[str, Any]) -> None:
        for name, column in scalars.values.items():
            before = np.float32(previous[name])
            is_same = np.array_equal(column[index], before, equal_nan=True)
            # Speeds (`perf/`) are measurements, which never repeat.
            if not is_same and not name.startswith("perf/") and not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "the resumed run does not repeat the previous one: %s at step %d is %s and "
                    "was %s. The recorded values are kept. To find out why: python -m expt.verify",
                    name,
                    scalars.steps[index],
                    column[index],
                    before,
                )


def _from(scalars: Scalars, first: int) -> Scalars:
    return replace(
        scalars,
        steps=scalars.steps[first:],
        epochs=scalars.epochs[first:],
        times=scalars.times[first:],
        values={name: column[first:] for name, column in scalars.values.items()},
    )
