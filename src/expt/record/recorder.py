"""The recorder protocol, the types of records, and the recorder of several recorders."""

import functools
import io
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from expt.runs.run import Run, Status

PARTIAL = "partial-"
"""The prefix of a file's name until the file is complete."""

WITHIN = "within/"
"""The prefix of all numbers and histograms of probes, as in `within/gradient_norm/dense`.

Trackers sort their charts by name, so that these, which are many, come after losses and metrics.
"""

_BINS = 30  # of a histogram, as TensorBoard shows it
"""The time in seconds that a killed run waits for a sink to close."""


@dataclass(frozen=True)
class Scalars:
    """Metric values recorded at one or more steps.

    Attributes:
        steps: Optimizer steps, shape [records].
        epochs: The epoch of each step, counted from 1, shape [records].
        times: Seconds since 1970, shape [records].
        values: The values by the metric's full name, such as `train/loss`, each of shape [records].
    """

    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    times: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float32]]

    @classmethod
    def single(
        cls, step: int, epoch: int, values: Mapping[str, float], moment: float | None = None
    ) -> "Scalars":
        """Returns a single record.

        Args:
            step: The optimizer step.
            epoch: Its epoch.
            values: The values by the metric's full name.
            moment: Seconds since 1970; None for the current time.
        """
        return cls(
            np.array([step]),
            np.array([epoch]),
            np.array([time.time() if moment is None else moment]),
            {name: np.array([value], np.float32) for name, value in values.items()},
        )

    def __getitem__(self, records: slice) -> "Scalars":
        """Returns some of the records."""
        return Scalars(
            self.steps[records],
            self.epochs[records],
            self.times[records],
            {name: column[records] for name, column in self.values.items()},
        )

    @classmethod
    def merged(cls, several: Iterable["Scalars"]) -> list["Scalars"]:
        """Returns the same records in fewer objects: one for each set of metrics."""
        groups: dict[tuple[str, ...], list[Scalars]] = {}
        for scalars in several:
            groups.setdefault(tuple(scalars.values), []).append(scalars)
        return [
            cls(
                np.concatenate([scalars.steps for scalars in group]),
                np.concatenate([scalars.epochs for scalars in group]),
                np.concatenate([scalars.times for scalars in group]),
                {
                    name: np.concatenate([scalars.values[name] for scalars in group])
                    for name in names
                },
            )
            for names, group in groups.items()
        ]

    def last(self) -> dict[str, float]:
        """Returns the values of the last record."""
        return {name: float(column[-1]) for name, column in self.values.items()}


@dataclass
class Image:
    """An image that is drawn on demand, on the thread of the first sink that reads it.

    Attributes:
        step: The optimizer step at which the image was made.
        time: Seconds since 1970.
        name: The full name, such as `val/predictions`.
        draw: Returns the pixels: uint8, shape [height, width, 3].
    """

    step: int
    time: float
    name: str
    draw: Callable[[], NDArray[np.uint8]]
    # Reentrant, because `png` calls `pixels` while it holds the lock.
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _pixels: NDArray[np.uint8] | None = field(default=None, repr=False)
    _png: bytes | None = field(default=None, repr=False)

    def pixels(self) -> NDArray[np.uint8]:
        """Returns the pixels, drawn at the first call: uint8, shape [height, width, 3]."""
        with self._lock:
            if self._pixels is None:
                self._pixels = self.draw()
            return self._pixels

    def png(self) -> bytes:
        """Returns the image as PNG with name, step and time as texts, encoded at the first call."""
        with self._lock:
            if self._png is None:
                buffer, texts = io.BytesIO(), PngInfo()
                texts.add_text("name", self.name)
                texts.add_text("step", str(self.step))
                texts.add_text("time", repr(float(self.time)))
                encoded = PillowImage.fromarray(self.pixels())
                encoded.save(buffer, format="PNG", compress_level=1, pnginfo=texts)
                self._png = buffer.getvalue()
            return self._png

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the pixels, since neither `draw` nor the lock can be pickled in general."""
        drawn = functools.partial(np.asarray, self.pixels())
        return Image, (self.step, self.time, self.name, drawn)


@dataclass(frozen=True)
class Histogram:
    """The distribution of some values at a step.

    Attributes:
        step: The optimizer step.
        time: Seconds since 1970.
        name: The full name, such as `gradients/dense`.
        edges: The increasing edges of the bins, shape [bins + 1]; empty if no value is finite.
        counts: The number of values in each bin, shape [bins].
        total: The sum of the values.
        squares: The sum of their squares.
    """

    step: int
    time: float
    name: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    total: float
    squares: float

    @classmethod
    def of(
        cls, step: int, moment: float, name: str, values: NDArray[np.floating[Any]]
    ) -> "Histogram":
        """Returns the histogram of values in 30 bins of equal width, without those not finite.

        Args:
            step: The optimizer step.
            moment: Seconds since 1970.
            name: The full name.
            values: The values, of any shape.
        """
        flat = np.asarray(values, np.float64).ravel()
        flat = flat[np.isfinite(flat)]
        if not len(flat):
            return cls(step, moment, name, np.empty(0), np.empty(0, np.int64), 0.0, 0.0)
        counts, edges = np.histogram(flat, _BINS)
        return cls(
            step, moment, name, edges, counts, float(flat.sum()), float(np.square(flat).sum())
        )


@dataclass(frozen=True)
class BestModel:
    """The saved best model of a run.

    Attributes:
        path: The `.keras` file.
        inputs: A few example inputs, shape [examples, ...].
        outputs: The model's predictions for `inputs`, shape [examples, ...].
    """

    path: Path
    inputs: NDArray[np.floating[Any]]
    outputs: NDArray[np.floating[Any]]


Record = Scalars | Image | Histogram | BestModel


class Recorder(Protocol):
    """A destination of records, which ignores the types of records that it can't store."""

    def open(self, run: Run) -> None:
        """Starts recording a run."""

    def write(self, record: Record) -> None:
        """Writes one record; those of a metric arrive in the order of their steps."""

    def close(self, status: Status) -> None:
        """Ends the run; on return, all records are written or passed to the operating system."""


@dataclass
class Fanout:
    """A recorder that passes every record to several recorders, in order."""

    recorders: Sequence[Recorder]

    def open(self, run: Run) -> None:
        """Opens all recorders."""
        for recorder in self.recorders:
            recorder.open(run)

    def write(self, record: Record) -> None:
        """Writes the record to all recorders."""
        for recorder in self.recorders:
            recorder.write(record)

    def close(self, status: Status) -> None:
        """Closes all recorders, the last one first, even if one of them raises."""
        # The journal is the first recorder, so it is closed after the sinks that depend on it.
        remaining = list(self.recorders)
        try:
            while remaining:
                remaining.pop().close(status)
        finally:
            if remaining:
                Fanout(remaining).close(status)
