"""Finds sweeps on disk, and the runs that belong to them."""

import os
from collections.abc import Iterator
from pathlib import Path

from expt.errors import UserError
from expt.runs.chronology import records_in, sweeps_by_age
from expt.runs.find import folder_above
from expt.runs.names import all_named, directory_of, name_of, suggestion
from expt.runs.record_parts import JobRecord, JobStatus
from expt.runs.records import RUN_FILE, SWEEP_FILE, read_sweep


def find_sweep(name: str, output_dir: Path) -> Path:
    """Finds a sweep.

    Args:
        name: A sweep's directory, another folder of runs, `latest`, or a sweep's name.
        output_dir: The folder of all runs, which is searched for `latest` and names.

    Returns:
        The directory.

    Raises:
        UserError: There is no such sweep, or several sweeps have the name.
    """
    if name == "latest":
        newest = newest_sweep(output_dir)
        if newest is None:
            raise UserError(f"latest: there are no sweeps in {output_dir}.")
        return newest
    for folder in (Path(os.path.expanduser(name)), output_dir / name):  # noqa: PTH111  never raises
        if os.path.isdir(folder) and next(_runs_of(folder), None) is not None:  # noqa: PTH112
            return folder
    found = sweep_named(name, output_dir)
    if found is not None:
        return found
    known = ["latest", *(one.name for one in all_named(output_dir, SWEEP_FILE))]
    raise UserError(
        f"{name}: there is no such sweep in {output_dir}. Expected a sweep's directory, its name, "
        f"or 'latest'.{suggestion(name, known)}"
    )


def sweep_named(name: str, output_dir: Path) -> Path | None:
    """Returns the directory of the sweep with a name; None if there is none.

    Raises:
        UserError: Several sweeps have the name.
    """
    return directory_of(name, all_named(output_dir, SWEEP_FILE), output_dir)


def newest_sweep(output_dir: Path) -> Path | None:
    """Returns the directory of the newest sweep with a started job; None if there is none."""
    return next(filter(_has_begun, reversed(sweeps_by_age(output_dir))), None)


def sweep_name(directory: Path) -> str:
    """Returns the name of a sweep; the name of its directory if its record can't be read."""
    try:
        return name_of(read_sweep(directory), directory)
    except UserError:
        return directory.name


def runs_of(folder: Path) -> list[Path]:
    """Returns the directories of a sweep's runs, including the finished runs that it reuses.

    Args:
        folder: Directory of the sweep, or another folder of runs.
    """
    return list(dict.fromkeys(directory.resolve() for directory in _runs_of(folder)))


def planned_jobs(sweep: Path) -> dict[str, JobRecord]:
    """Returns the jobs of a sweep by directory name; empty if its plan can't be read."""
    try:
        return {job.directory: job for job in read_sweep(sweep).jobs}
    except UserError:
        return {}


def reused_run(sweep: Path, reused: str) -> Path | None:
    """Returns the directory of the run that is reused for a job; None if it can't be found.

    The folder of all runs may have been moved or copied since the sweep was planned. Runs outside
    of that folder are ignored, because the plan may come from someone else.

    Args:
        sweep: Resolved directory of the sweep.
        reused: Directory of the run relative to the sweep's, as in the plan.
    """
    outputs = folder_above(sweep, None)
    if outputs is None:
        outputs = sweep.parents[min(2, len(sweep.parents) - 1)]  # OUTPUTS/sweeps/DATE/SWEEP
    # If the recorded path is not valid, its end (runs/… or sweeps/…) is tried in this folder.
    named = Path(os.path.normpath(sweep / reused))
    starts = [depth for depth, part in enumerate(named.parts) if part in ("runs", "sweeps")]
    for previous in (named, *(outputs.joinpath(*named.parts[start:]) for start in starts)):
        is_inside = previous.resolve().is_relative_to(outputs.resolve())
        if is_inside and (previous / RUN_FILE).is_file():
            return previous
    return None


def _has_begun(sweep: Path) -> bool:
    """Whether a job of a sweep has a run, has ended without one, or reuses a finished run."""
    return next(records_in(sweep), None) is not None or any(
        job.status in (JobStatus.FAILED, JobStatus.KILLED) or job.reused
        for job in planned_jobs(sweep).values()
    )


def _runs_of(folder: Path) -> Iterator[Path]:
    """Yields the directories of the runs in a folder, and of those that its plan reuses."""
    for file in records_in(folder):
        yield file.parent
    sweep = folder.resolve()
    for job in planned_jobs(sweep).values():
        previous = None if job.reused is None else reused_run(sweep, job.reused)
        if previous is not None:
            yield previous
