"""Runs a module as `python -m` does, in a process that does not outlive its parent."""

import runpy
import sys

from expt.runs.parent_process import end_with_parent


def main() -> None:
    """Runs the module that is named first, with the arguments after it."""
    end_with_parent(with_group=True)  # servers have processes of their own
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
