"""The recorder that runs a sink on a thread of its own."""

import functools
import itertools
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from expt.record.journal import FILE_NAME
from expt.record.recorder import Record, Recorder, Scalars
from expt.record.replay import read_scalars
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
_KILLED_SECONDS = 5.0
_SECONDS_TO_COLLECT = 0.25  # fewer, larger writes take less of the training thread's time
_MOST_WAITING = 1 << 15  # records of scalars, which are a few megabytes

_Call = functools.partial[None]


@dataclass
class _Stretch:
    """A part of the journal that a sink has not received yet, from one byte to another."""

    start: int
    end: int


class BackgroundRecorder:
    """A recorder that runs a sink on a separate thread, so that it can't delay or stop training.

    Scalars are collected for a moment and reach the sink in bulk: the order of a metric's records
    is kept, that of different metrics may change. If a sink falls behind, only some scalars wait in
    memory; the sink gets the others from the journal.

    If a sink raises, a warning is logged and the sink is not called again, not even to close it,
    until the next run opens it. The journal is complete nevertheless.

    After a run was killed, `close` waits only a few seconds for the sink, unless the sink has a
    true attribute `limits_closing`: such a sink limits the time of its closing itself.
    """

    _journal: Path

    def __init__(self, name: str, sink: Recorder) -> None:
        self.name = name
        self._sink = sink
        self._is_broken = self._is_late = False
        self._changed = threading.Condition()
        # Guarded by `_changed`.
        self._waiting: list[_Call | Scalars | _Stretch | None] = []
        self._num_scalars = 0
        self._is_urgent = self._is_working = False
        self._journal_size = 0  # when the last scalars were written
        # A daemon, so that a second Ctrl-C can end the process at once.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def open(self, run: Run) -> None:
        """Queues the opening of the sink."""
        self._journal = run.directory / FILE_NAME
        self._journal_size = _size(self._journal)
        self._put(functools.partial(self._open, run))

    def write(self, record: Record) -> None:
        """Queues the record; scalars must be in the journal already."""
        if not isinstance(record, Scalars):
            self._put(functools.partial(self._sink.write, record))
            return
        start, end = self._journal_size, _size(self._journal)
        self._journal_size = end
        with self._changed:
            last = self._waiting[-1] if self._waiting else None
            if self._num_scalars < _MOST_WAITING or start == end:
                self._waiting.append(record)
                self._num_scalars += len(record.steps)
            elif isinstance(last, _Stretch):
                last.end = end
            else:
                self._waiting.append(_Stretch(start, end))
            if last is None:
                self._changed.notify_all()

    def close(self, status: Status) -> None:
        """Waits until the sink has written everything and is closed; a few seconds if KILLED."""
        self._put(functools.partial(self._sink.close, status))
        is_limited = status == Status.KILLED and not getattr(self._sink, "limits_closing", False)
        if not self.drain(_KILLED_SECONDS if is_limited else None):
            self._is_late = True
            _log.warning(
                "%s: still busy %g s after the run was stopped; it may lack the last records. "
                "The journal is complete.",
                self.name,
                _KILLED_SECONDS,
            )

    def drain(self, seconds: float | None = None) -> bool:
        """Waits until the sink has processed all queued calls.

        Args:
            seconds: The timeout; None waits without a limit.

        Returns:
            Whether the queue is empty.
        """
        with self._changed:
            self._is_urgent = True
            self._changed.notify_all()
            return self._changed.wait_for(
                lambda: not self._waiting and not self._is_working, seconds
            )

    def stop(self) -> None:
        """Ends the thread once the queue is empty; does not wait if `close` has timed out."""
        self._put(None)
        if not self._is_late:
            self._thread.join()

    def _put(self, call: _Call | None) -> None:
        with self._changed:
            self._waiting.append(call)
            self._is_urgent = True
            self._changed.notify_all()

    def _open(self, run: Run) -> None:
        self._is_broken = False
        self._sink.open(run)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                self._changed.wait_for(lambda: self._is_urgent, _SECONDS_TO_COLLECT)
                waiting, self._waiting, self._num_scalars = self._waiting, [], 0
                self._is_urgent, self._is_working = False, True
            for call in self._calls(waiting):
                if call is None:
                    return
                # A broken sink is opened again for the next run, since the cause may have gone.
                if not self._is_broken or call.func == self._open:
                    self._attempt(call)
            with self._changed:
                self._is_working = False
                self._changed.notify_all()

    def _calls(
        self, waiting: Iterable[_Call | Scalars | _Stretch | None]
    ) -> Iterator[_Call | None]:
        """Yields the calls of the sink; consecutive scalars become as few calls as possible."""
        for kind, group in itertools.groupby(waiting, type):
            if kind is Scalars:
                for scalars in Scalars.merged(item for item in group if isinstance(item, Scalars)):
                    yield functools.partial(self._sink.write, scalars)
                continue
            for item in group:
                if isinstance(item, _Stretch):
                    yield functools.partial(self._replay, item)
                else:
                    assert not isinstance(item, Scalars)
                    yield item

    def _replay(self, stretch: _Stretch) -> None:
        for scalars in read_scalars(self._journal, stretch.end, stretch.start):
            self._sink.write(scalars)

    def _attempt(self, call: _Call) -> None:
        try:
            call()
        # No exception of a sink, whatever its type, may stop training.
        except Exception as error:  # noqa: BLE001
            self._is_broken = True
            _log.warning("%s: recording stopped: %s. The journal is complete.", self.name, error)
            _log.info("%s failed", self.name, exc_info=error)


def _size(path: Path) -> int:
    """Returns the size of a file in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
