"""Handling of Ctrl-C and SIGTERM, which are deferred to points where training can end safely."""

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
    """A signal handler that keeps the first signal for `check`; a second one ends the process."""

    def __init__(self) -> None:
        self._noted: type[BaseException] | None = None

    def note(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal.

        Args:
            number: The number of the signal.
        """
        if self._noted is not None:
            # At any point, even in the middle of a write: files are replaced as a whole, and an
            # incomplete last line of the journal is cut off when the run is resumed.
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), _SHOW_CURSOR.encode())
            os._exit(128 + number)
        self._noted = Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def check(self) -> None:
        """Raises the exception of the signal that has arrived, if one has.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
            Terminated: SIGTERM arrived.
        """
        if self._noted is not None:
            raise self._noted


@contextmanager
def deferred_signals() -> Iterator[Interruption]:
    """Defers Ctrl-C and SIGTERM to the next call of `check`, or to the end of the block.

    Has no effect in threads other than the main thread, which receive no signals.
    """
    # An exception raised by a signal handler could interrupt a write, and leave an incomplete line
    # or a queue with a wrong count.
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
