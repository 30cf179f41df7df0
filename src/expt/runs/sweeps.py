"""Sweeps on disk: which one a user means, and the runs that belong to one."""

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
        name: A sweep's directory, or another folder with runs in it; `latest`; or a sweep's name.
        output_dir: Where to look for the latter two.

    Raises:
        UserError: There is no such sweep, or several have the name.
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
    """Returns the directory of the sweep that has a name, if there is one.

    Raises:
        UserError: Several have it.
    """
    return directory_of(name, all_named(output_dir, SWEEP_FILE), output_dir)


def newest_sweep(output_dir: Path) -> Path | None:
    """Returns the directory of the sweep that began last, if a job of one has begun."""
    return next(filter(_has_begun, reversed(sweeps_by_age(output_dir))), None)


def sweep_name(directory: Path) -> str:
    """Returns a sweep's name; that of its directory if its record is missing or damaged."""
    try:
        return name_of(read_sweep(directory), directory)
    except UserError:
        return directory.name


def runs_of(folder: Path) -> list[Path]:
    """Returns the directories of a sweep's runs, with those that stand in for skipped jobs.

    Args:
        folder: The sweep's directory, or another folder with runs in it.
    """
    return list(dict.fromkeys(directory.resolve() for directory in _runs_of(folder)))


def planned_jobs(sweep: Path) -> dict[str, JobRecord]:
    """Returns a sweep's jobs by directory name; none if there is no plan, or a damaged one."""
    try:
        return {job.directory: job for job in read_sweep(sweep).jobs}
    except UserError:
        return {}


def reused_run(sweep: Path, reused: str) -> Path | None:
    """Returns the run that stands in for a job, if it is one in the same folder of all runs.

    A plan names the directory of the time: the folder may have been moved or copied since.

    Args:
        sweep: The directory of the sweep, resolved.
        reused: What its plan names, from there.
    """
    outputs = folder_above(sweep, None)
    if outputs is None:
        outputs = sweep.parents[min(2, len(sweep.parents) - 1)]  # OUTPUTS/sweeps/DATE/SWEEP
    named = Path(os.path.normpath(sweep / reused))
    starts = [depth for depth, part in enumerate(named.parts) if part in ("runs", "sweeps")]
    for earlier in (named, *(outputs.joinpath(*named.parts[start:]) for start in starts)):
        is_inside = earlier.resolve().is_relative_to(outputs.resolve())
        if is_inside and (earlier / RUN_FILE).is_file():
            return earlier
    return None


def _has_begun(sweep: Path) -> bool:
    """Whether a job has a run, or has failed before it had one, or an earlier run stands in."""
    return next(records_in(sweep), None) is not None or any(
        job.status in (JobStatus.FAILED, JobStatus.KILLED) or job.reused
        for job in planned_jobs(sweep).values()
    )


def _runs_of(folder: Path) -> Iterator[Path]:
    for file in records_in(folder):
        yield file.parent
    sweep = folder.resolve()
    for job in planned_jobs(sweep).values():
        earlier = None if job.reused is None else reused_run(sweep, job.reused)
        if earlier is not None:
            yield earlier
