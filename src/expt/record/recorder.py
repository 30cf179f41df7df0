"""The recorder protocol, what is recorded, and recorders made of recorders."""

import functools
import io
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
PARTIAL = "partial-"
"""What the name of a file starts with until it is complete."""

_KILLED_SECONDS = 5.0
"""How long a killed run waits for a sink."""


@dataclass(frozen=True)
class Scalars:
    """Numbers of some consecutive records.

    Attributes:
        steps: Optimizer steps, shape [records].
        epochs: The epoch, counted from 1, of each step, shape [records].
        times: Seconds since 1970, shape [records].
        values: By full metric name, such as `train/loss`: shape [records].
    """

    steps: NDArray[np.int64]
    epochs: NDArray[np.int64]
    times: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float32]]

    @classmethod
    def single(cls, step: int, epoch: int, values: Mapping[str, float]) -> "Scalars":
        """Makes one record of this moment."""
        return cls(
            np.array([step]),
            np.array([epoch]),
            np.array([time.time()]),
            {name: np.array([value], np.float32) for name, value in values.items()},
        )

    def last(self) -> dict[str, float]:
        """The values of the last record."""
        return {name: float(column[-1]) for name, column in self.values.items()}


@dataclass
class Image:
    """A picture, drawn when the first sink asks for it, on that sink's thread.

    Attributes:
        step: The optimizer step it shows.
        time: Seconds since 1970.
        name: Its full name, such as `val/predictions`.
        draw: Makes the pixels: uint8, shape [height, width, 3].
    """

    step: int
    time: float
    name: str
    draw: Callable[[], NDArray[np.uint8]]
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _pixels: NDArray[np.uint8] | None = field(default=None, repr=False)
    _png: bytes | None = field(default=None, repr=False)

    def pixels(self) -> NDArray[np.uint8]:
        """The pixels, drawn once."""
        with self._lock:
            if self._pixels is None:
                self._pixels = self.draw()
            return self._pixels

    def png(self) -> bytes:
        """The picture as a PNG file that holds name, step and time too, encoded once."""
        with self._lock:
            if self._png is None:
                buffer, texts = io.BytesIO(), PngInfo()
                texts.add_text("name", self.name)
                texts.add_text("step", str(self.step))
                texts.add_text("time", repr(float(self.time)))
                picture = PillowImage.fromarray(self.pixels())
                picture.save(buffer, format="PNG", compress_level=1, pnginfo=texts)
                self._png = buffer.getvalue()
            return self._png

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the pixels rather than what draws them."""
        drawn = functools.partial(np.asarray, self.pixels())
        return Image, (self.step, self.time, self.name, drawn)


@dataclass(frozen=True)
class BestModel:
    """The best model of a run, saved.

    Attributes:
        path: The `.keras` file.
        inputs: A few inputs that it takes.
        outputs: What it gives for them: predictions.
    """

    path: Path
    inputs: NDArray[np.floating[Any]]
    outputs: NDArray[np.floating[Any]]


Record = Scalars | Image | BestModel


class Recorder(Protocol):
    """A place where records go. One that has no use for a kind of record leaves it out."""

    def open(self, run: Run) -> None:
        """Begins a run."""

    def write(self, record: Record) -> None:
        """Takes one record; records come in the order of their steps."""

    def close(self, status: Status) -> None:
        """Ends the run; everything must be on its way out when this returns."""


@dataclass
class Fanout:
    """Gives every record to several recorders, in their order."""

    recorders: Sequence[Recorder]

    def open(self, run: Run) -> None:
        """Opens all."""
        for recorder in self.recorders:
            recorder.open(run)

    def write(self, record: Record) -> None:
        """Writes to all."""
        for recorder in self.recorders:
            recorder.write(record)

    def close(self, status: Status) -> None:
        """Closes all, the last first, even if one of them raises."""
        remaining = list(self.recorders)
        try:
            while remaining:
                remaining.pop().close(status)
        finally:
            if remaining:
                Fanout(remaining).close(status)


class Background:
    """Runs a sink on a thread of its own, so that it can't hold up training or stop it.

    A sink that raises is reported once and gets nothing more of that run; the journal still has
    everything. One sink serves run after run. One that is still busy seconds after its run was
    killed is left to the end of the process, unless its `limits_closing` says that it ends by
    itself as soon as there is nothing to wait for.
    """

    def __init__(self, name: str, sink: Recorder) -> None:
        self.name = name
        self._sink = sink
        self._is_broken = self._is_late = False
        self._calls: queue.Queue[functools.partial[None] | None] = queue.Queue()
        # A daemon, so that a second Ctrl-C can end the process at once.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def open(self, run: Run) -> None:
        """Lets the thread open the sink."""
        self._calls.put(functools.partial(self._open, run))

    def write(self, record: Record) -> None:
        """Queues the record."""
        self._calls.put(functools.partial(self._sink.write, record))

    def close(self, status: Status) -> None:
        """Waits until the sink has written everything and is closed; a few seconds if KILLED."""
        self._calls.put(functools.partial(self._sink.close, status))
        is_limited = status == Status.KILLED and not getattr(self._sink, "limits_closing", False)
        if not self.drain(_KILLED_SECONDS if is_limited else None):
            self._is_late = True
            _log.warning(
                "%s: still busy %g s after the run was stopped; it may lack the last records. "
                "The journal keeps everything.",
                self.name,
                _KILLED_SECONDS,
            )

    def drain(self, seconds: float | None = None) -> bool:
        """Waits until the sink has taken all that was queued, or time is up.

        Args:
            seconds: How long to wait at most; None waits to the end.

        Returns:
            Whether the queue is empty.
        """
        with self._calls.all_tasks_done:
            return self._calls.all_tasks_done.wait_for(
                lambda: not self._calls.unfinished_tasks, seconds
            )

    def stop(self) -> None:
        """Ends the thread once the queue is empty; a sink that was late is not waited for."""
        self._calls.put(None)
        if not self._is_late:
            self._thread.join()

    def _open(self, run: Run) -> None:
        self._is_broken = False
        self._sink.open(run)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            # Opening is the one call that a broken sink gets: the next run may fare better.
            if not self._is_broken or call.func == self._open:
                self._attempt(call)
            self._calls.task_done()

    def _attempt(self, call: Callable[[], None]) -> None:
        try:
            call()
        # Whatever a sink raises, training goes on.
        except Exception as error:  # noqa: BLE001
            self._is_broken = True
            _log.warning(
                "%s: recording stopped: %s. The journal keeps everything.", self.name, error
            )
            _log.info("%s failed", self.name, exc_info=error)
