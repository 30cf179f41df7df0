"""Processes that do not outlive the one that started them, however that one ended."""

import os
import signal
import threading
from collections.abc import Callable


def end_with_parent(wait: Callable[[], object] | None = None, *, with_group: bool = False) -> None:
    """Kills this process once its parent is gone.

    Args:
        wait: Returns when the parent has ended. By default this is when the standard input ends,
            the other end of which the parent holds open without writing to it.
        with_group: Whether to kill the processes of this one's group, too.
    """

    def watch() -> None:
        if wait is None:
            os.read(0, 1)  # a buffered read would hold a lock that an exit needs
        else:
            wait()
        if with_group:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent", daemon=True).start()
