"""Ctrl-C and SIGTERM, taken where nothing is half done."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from expt.errors import Terminated

_SHOW_CURSOR = "\x1b[?25h"


class Interruption:
    """Notes the first signal, for `check` to raise at a safe point; a second ends the process."""

    def __init__(self) -> None:
        self._noted: type[BaseException] | None = None

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal."""
        if self._noted is not None:
            # At once, whatever is under way: files are replaced as a whole, and a torn last line
            # of the journal is cut off when the run is resumed.
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), _SHOW_CURSOR.encode())
            os._exit(128 + number)
        self._noted = Terminated if number == signal.SIGTERM else KeyboardInterrupt

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
