"""How worker processes start: as forks of a server that has TensorFlow imported, or afresh.

Importing this module takes milliseconds, so that a command can start the server before anything
else.
"""

import multiprocessing
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

_SERVER = "expt.sweep.launchers.fork_server"


def context() -> BaseContext:
    """Returns the context that worker processes are started in."""
    # Never as forks of this process: they would inherit the locks of its threads in whatever state
    # they are, and TensorFlow's state if a caller has imported it. On macOS, frameworks that
    # TensorFlow uses crash in forks.
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([_SERVER])
    return found


def start_server() -> None:
    """Starts the server on the main thread, so that its imports overlap with other work.

    Has no effect if it is running, or where workers are not forked. The server ends with the thread
    that has started it.
    """
    if context().get_start_method() == "forkserver":
        forkserver.ensure_running()
