"""Runs a module as `python -m` does, in a process that does not outlive its parent."""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Runs the module that is named first, with the arguments after it."""
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_parent() -> None:
    """Ends the whole group: servers have processes of their own."""
    os.read(0, 1)  # nothing is written there; it ends when the parent has gone, however it went
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
