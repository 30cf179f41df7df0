"""Functions that tests run in worker processes, at module level so that they can be pickled."""

import os
import signal
import sys
import threading
import time
from pathlib import Path


def add(a: int, b: int) -> int:
    return a + b


def describe() -> dict[str, object]:
    """Returns the settings of this process."""
    import tensorflow as tf

    from expt.train.backend import threads_in_effect

    return {
        "process": os.getpid(),
        "session": os.getsid(0),
        "threads": threads_in_effect(),
        "operations": tf.config.threading.get_inter_op_parallelism_threads(),
        "marked": os.environ.get("MARKED"),
        "has_tensorflow": "tensorflow" in sys.modules,
    }


def fail() -> None:
    raise LookupError("no such thing")


def return_a_lock() -> object:
    """Returns an object that can't be pickled."""
    return threading.Lock()


def leave() -> None:
    """Exits as a script does."""
    sys.exit("no more")


def wait_for(file: Path) -> str:
    """Waits for a file or for SIGTERM, and writes the id of this process to a file beside it."""
    terminated: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: terminated.append(number))
    partial = file.with_suffix(".partial")
    partial.write_text(str(os.getpid()))
    partial.replace(file.with_suffix(".process"))
    try:
        while not file.exists():
            if terminated:
                return "terminated"
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    return "found"
