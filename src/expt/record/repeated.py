"""A resumed run computes some steps anew: what is recorded of them is not doubled."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from expt.record.journal import FILE_NAME, read_journal
from expt.record.recorder import Image, Record, Recorder, Scalars
from expt.record.replay import image_keys
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)


class NotTwice:
    """Passes on to a recorder what an earlier process of the run has not recorded yet.

    Between its last checkpoint and its end, the earlier process recorded steps that are now
    computed again. They must come out the same, bit for bit; the first number that does not is
    told by a warning.
    """

    _repeated: Iterator[Mapping[str, Any]]
    _next: Mapping[str, Any] | None
    _images: set[tuple[str, int]]

    def __init__(self, recorder: Recorder, step: int) -> None:
        """Wraps a recorder.

        Args:
            recorder: Where new records go.
            step: The step from which training continues.
        """
        self._recorder, self._step = recorder, step
        self._has_told = False

    def open(self, run: Run) -> None:
        """Opens the recorder, and the journal to compare with."""
        self._repeated = self._after_checkpoint(run) if run.recorded else iter(())
        self._next = next(self._repeated, None)
        self._images = set(image_keys(run.directory)) if run.is_resumed else set()
        self._recorder.open(run)

    def write(self, record: Record) -> None:
        """Passes on what is new of a record."""
        if isinstance(record, Image) and (record.name, record.step) in self._images:
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
        """Yields what the earlier process recorded after the checkpoint was saved."""
        for record in read_journal(run.directory / FILE_NAME, end=run.recorded):
            is_test = any(name.startswith("test/") for name in record)  # comes after the last save
            if record["step"] > self._step or is_test:
                yield record

    def _count_repeated(self, scalars: Scalars) -> int:
        """How many of the first records are in the journal already."""
        for count, step in enumerate(scalars.steps.tolist()):
            while self._next is not None and self._next["step"] < step:
                self._next = next(self._repeated, None)
            earlier = self._next
            if earlier is None or earlier["step"] != step:
                return count
            if not scalars.values.keys() <= earlier.keys():
                return count
            self._compare(scalars, count, earlier)
            self._next = next(self._repeated, None)
        return len(scalars.steps)

    def _compare(self, scalars: Scalars, index: int, earlier: Mapping[str, Any]) -> None:
        for name, column in scalars.values.items():
            before = np.float32(earlier[name])
            is_same = np.array_equal(column[index], before, equal_nan=True)
            if not is_same and not name.startswith("perf/") and not self._has_told:
                self._has_told = True
                _log.warning(
                    "the resumed run does not repeat the earlier one: %s of step %d is %s now and "
                    "was %s. What was recorded stays. python -m expt.verify shows why.",
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
