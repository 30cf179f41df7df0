"""Finds the sweep that an argument of a command refers to."""

import os
from pathlib import Path

from expt.analysis.run_argument import format_sweep
from expt.runs.best import is_best
from expt.runs.chronology import newest
from expt.runs.find import newest_run
from expt.runs.records import SWEEP_FILE
from expt.runs.sweeps import sweep_named
from expt.sweep.plan_reader import newest_plan


def find_sweep_argument(name: str, output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that an argument refers to; None if it refers to a run.

    `latest` is the newest run or sweep, even if no job of that sweep has started yet. If it is a
    sweep, its name is printed.

    Args:
        name: A directory, a name, or `latest`.
        output_dir: The folder of all runs.

    Raises:
        UserError: Several sweeps have the name, or a damaged record may be the latest.
    """
    if is_best(name):
        return None
    if name != "latest":
        directory = Path(os.path.expanduser(name))  # noqa: PTH111  never raises
        if os.path.isfile(directory / SWEEP_FILE):  # noqa: PTH113
            return directory.resolve()
        named = sweep_named(name, output_dir)
        return None if named is None else named.resolve()
    plan, run = newest_plan(output_dir), newest_run(output_dir)
    files = [] if plan is None else [plan / SWEEP_FILE]
    files += [] if run is None else [run.directory / "run.json"]
    last = newest(files, output_dir)
    if last is None:
        return None
    # The latest run may be a job of a sweep, which is then continued as a whole.
    sweep = plan if last.name == SWEEP_FILE else last.parent.parent
    if sweep is None or not (sweep / SWEEP_FILE).is_file():
        return None
    print(f"latest: {format_sweep(sweep)}", flush=True)
    return sweep.resolve()
