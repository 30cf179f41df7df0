"""Which runs are compared: sweeps, directories, an experiment's, those with certain values."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from expt.analysis.filters import filtered
from expt.analysis.jobs import JobPlace, jobs_in
from expt.analysis.reading import ComparedRun
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
        title: Where they were found.
        runs: They, in the order of their directories.
        notes: What a reader should know of the jobs in the folders, a sentence each.
    """

    title: str
    runs: Sequence[ComparedRun]
    notes: Sequence[str] = ()


def select(names: Sequence[str], filters: Sequence[str], output_dir: Path) -> Selection:
    """Finds runs and reads them.

    Args:
        names: Directories or names of runs and sweeps, folders that hold some, `best`, or
            `latest`, the newest sweep. Without any it is the newest sweep; all of the output
            directory if there is none, or if a filter gives an experiment's name.
        filters: `KEY=VALUE` or `KEY=VALUE,VALUE`: a parameter, `name` or `status`.
        output_dir: The folder of all runs.

    Raises:
        UserError: There are no such runs.
    """
    by_name = any(one.startswith("name=") for one in filters)
    folders = [_folder(name, output_dir) for name in names] or [_default(output_dir, by_name)]
    jobs: dict[str, JobPlace] = {}
    for folder in folders:
        # Of a run that is there itself too, it is not told that it is reused.
        found = sorted(jobs_in(folder), key=lambda job: (not job.is_reused, job.directory))
        if not any(map(_has_begun, found)):
            raise UserError(
                f"{_shown(folder)}: there are no runs. Expected a run's directory (one that holds "
                "a run.json), or a folder with some in it."
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
    # Those of os.path never raise, whatever the name is.
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
        f"{name}: there is no such folder. Expected the directory or the name of a run or a sweep, "
        "a folder that holds some, 'latest', 'best', or a filter KEY=VALUE such as act=relu or "
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
        notes.append(f"{waiting} jobs have not begun." if waiting > 1 else "1 job has not begun.")
    if reused:
        runs = f"{reused} runs are" if reused > 1 else "1 run is"
        notes.append(f"{runs} of an earlier time, reused by the sweep.")
    return notes
