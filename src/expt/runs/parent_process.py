"""Makes a process end together with its parent, even if the parent is killed."""

import os
import signal
import threading
from collections.abc import Callable


def end_with_parent(wait: Callable[[], object] | None = None, *, with_group: bool = False) -> None:
    """Starts a thread that kills this process when its parent has ended.

    Args:
        wait: Blocks until the parent has ended. By default, waits for the end of the standard
            input, a pipe that the parent must hold open without writing to it.
        with_group: Whether to kill the whole process group of this process.
    """

    def watch() -> None:
        if wait is None:
            os.read(0, 1)  # a buffered read would hold a lock that the interpreter needs at exit
        else:
            wait()
        if with_group:
            os.killpg(0, signal.SIGKILL)
        # SIGKILL can't be caught or ignored, so no process survives its parent.
        os.kill(os.getpid(), signal.SIGKILL)

    # A daemon, so that it does not keep this process from ending on its own.
    threading.Thread(target=watch, name="parent", daemon=True).start()
