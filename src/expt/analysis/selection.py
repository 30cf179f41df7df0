"""The selection of the runs to compare, by directory, name, experiment, or parameter values."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expt.analysis.compared_run import ComparedRun
from expt.analysis.filters import filtered
from expt.analysis.jobs import JobPlace, jobs_in
from expt.analysis.values import plain
from expt.errors import UserError
from expt.runs.best import find_best, is_best
from expt.runs.names import all_named, directory_of, suggestion
from expt.runs.records import SWEEP_FILE
from expt.runs.sweeps import newest_sweep, sweep_name


@dataclass(frozen=True)
class Selection:
    """The runs to compare.

    Attributes:
        title: A title that names the folders and filters.
        runs: The selected runs, in the order of their directories.
        notes: Notes on the jobs in the folders, one sentence each.
    """

    title: str
    runs: Sequence[ComparedRun]
    notes: Sequence[str] = ()


def select(names: Sequence[str], filters: Sequence[str], output_dir: Path) -> Selection:
    """Finds and reads the runs to compare.

    Args:
        names: Directories or names of runs and sweeps, folders that contain some, `best`, or
            `latest` (the newest sweep). If empty, the newest sweep is selected, or all runs in
            `output_dir` if there is no sweep or if a filter names an experiment.
        filters: Filters as in `filters.filtered`.
        output_dir: The folder of all runs.

    Raises:
        UserError: A name or filter selects no runs.
    """
    by_name = any(one.startswith("name=") for one in filters)
    folders = [_folder(name, output_dir) for name in names] or [_default(output_dir, by_name)]
    jobs: dict[str, JobPlace] = {}
    for folder in folders:
        # The same run may be found twice, as itself and as reused by a sweep. The last entry of
        # the mapping below counts, so the reused ones come first and are replaced.
        found = sorted(jobs_in(folder), key=lambda job: (not job.is_reused, job.directory))
        if not any(map(_has_begun, found)):
            raise UserError(
                f"{_shown(folder)}: there are no runs. Expected the directory of a run (it has a "
                "run.json) or a folder of runs."
            )
        jobs |= {os.path.abspath(job.run or job.directory): job for job in found}  # noqa: PTH100
    read = [job.read() for job in jobs.values()]
    runs = [run for run in read if run is not None]
    chosen = filtered(runs, filters)
    title = ", ".join(_titled(folder) for folder in folders)
    if filters:
        title += f" with {' '.join(filters)}"
    notes = _notes(len(read) - len(runs), sum(job.is_reused for job in jobs.values()))
    return Selection(plain(title), chosen, notes)


def _folder(name: str, output_dir: Path) -> Path:
    if name == "latest":
        return _default(output_dir, is_whole=False)
    # Unlike the methods of Path, those of os.path never raise, whatever characters a name has.
    for folder in (Path(os.path.expanduser(name)), output_dir / name):  # noqa: PTH111
        if os.path.isdir(folder):  # noqa: PTH112
            return folder
    if is_best(name):
        return find_best(name, output_dir).run.directory
    sweeps, runs = all_named(output_dir, SWEEP_FILE), all_named(output_dir)
    named = directory_of(name, sweeps, output_dir) or directory_of(name, runs, output_dir)
    if named is not None:
        return named
    known = ("latest", "best", *(one.name for one in (*sweeps, *runs)))
    raise UserError(
        f"{name}: there is no such folder. Expected the directory or name of a run or sweep, a "
        "folder of runs, 'latest', 'best', or a filter KEY=VALUE such as act=relu or "
        f"status=FINISHED.{suggestion(name, known)}"
    )


def _default(output_dir: Path, is_whole: bool) -> Path:
    return (None if is_whole else newest_sweep(output_dir)) or output_dir


def _shown(folder: Path) -> str:
    return os.path.relpath(folder)


def _titled(folder: Path) -> str:
    """Returns a sweep's name with its directory, or the directory alone."""
    name = sweep_name(folder)
    return _shown(folder) if name == folder.name else f"{name} ({_shown(folder)})"


def _has_begun(job: JobPlace) -> bool:
    return job.run is not None or job.read() is not None


def _notes(waiting: int, reused: int) -> list[str]:
    notes = []
    if waiting:
        jobs = "jobs have" if waiting > 1 else "job has"
        notes.append(f"{waiting} {jobs} not started.")
    if reused:
        runs = "runs were" if reused > 1 else "run was"
        notes.append(f"{reused} previous {runs} reused by the sweep.")
    return notes
