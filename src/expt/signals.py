"""Ctrl-C and SIGTERM, taken where nothing is half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from expt.errors import Terminated


class Interruption:
    """Notes the first signal, for `check` to raise at a safe point; a second raises at once."""

    def __init__(self) -> None:
        self._noted: type[BaseException] | None = None

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal."""
        exception = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self._noted is not None:
            raise exception
        self._noted = exception

    def check(self) -> None:
        """Raises what was noted.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
            Terminated: SIGTERM arrived.
        """
        if self._noted is not None:
            raise self._noted


@contextmanager
def deferred_signals() -> Iterator[Interruption]:
    """Defers Ctrl-C and SIGTERM to the calls of `check`, and at the latest to the end.

    An exception out of a signal handler could strike in the middle of a write, and leave a line
    torn or a queue miscounted. Threads other than the main one get no signals.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {
        number: signal.signal(number, interruption.note)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    interruption.check()
