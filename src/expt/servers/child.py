"""A replacement of `python -m` whose process ends when its parent does."""

import runpy
import sys

from expt.runs.parent_process import end_with_parent


def main() -> None:
    """Runs the module that the first argument names, with the remaining arguments."""
    end_with_parent(with_group=True)  # with their group, since servers start further processes
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
