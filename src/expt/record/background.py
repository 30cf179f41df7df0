"""The recorder that runs a sink on a thread of its own."""

import functools
import logging
import queue
import threading
from collections.abc import Callable

from expt.record.recorder import Record, Recorder
from expt.runs.run import Run, Status

_log = logging.getLogger(__name__)
_KILLED_SECONDS = 5.0


class BackgroundRecorder:
    """A recorder that runs a sink on a separate thread, so that it can't delay or stop training.

    If a sink raises, a warning is logged and the sink is not called again, not even to close it,
    until the next run opens it. The journal is complete nevertheless.

    After a run was killed, `close` waits only a few seconds for the sink, unless the sink has a
    true attribute `limits_closing`: such a sink limits the time of its closing itself.
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
        """Queues the opening of the sink."""
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
        # `Queue.join` has no timeout, so this waits for the same condition as `join` does.
        with self._calls.all_tasks_done:
            return self._calls.all_tasks_done.wait_for(
                lambda: not self._calls.unfinished_tasks, seconds
            )

    def stop(self) -> None:
        """Ends the thread once the queue is empty; does not wait if `close` has timed out."""
        self._calls.put(None)
        if not self._is_late:
            self._thread.join()

    def _open(self, run: Run) -> None:
        self._is_broken = False
        self._sink.open(run)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            # A broken sink is opened again for the next run, since the cause may have gone.
            if not self._is_broken or call.func == self._open:
                self._attempt(call)
            self._calls.task_done()

    def _attempt(self, call: Callable[[], None]) -> None:
        try:
            call()
        # No exception of a sink, whatever its type, may stop training.
        except Exception as error:  # noqa: BLE001
            self._is_broken = True
            _log.warning("%s: recording stopped: %s. The journal is complete.", self.name, error)
            _log.info("%s failed", self.name, exc_info=error)
