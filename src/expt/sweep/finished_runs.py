"""Reuse of finished runs for the jobs of a sweep: `sweep.reuse`."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expt.config.hashes import run_hash
from expt.config.sources import Code, changed_modules
from expt.errors import UserError
from expt.runs.changed_code import listed, recorded_code
from expt.runs.chronology import order_of, place_ids, records_in
from expt.runs.record_parts import JobStatus, Status
from expt.runs.records import RunRecord, read_run
from expt.sweep.jobs import PlannedJob


@dataclass(frozen=True)
class _Finished:
    """A finished run.

    Attributes:
        directory: The run's.
        order: Sorts runs by age.
        code: Its code; None if that was not recorded, or changed while it was trained.
    """

    directory: Path
    order: tuple[int, float]
    code: Code | None


def reuse_finished(
    jobs: Sequence[PlannedJob], data: Sequence[str], output_dir: Path
) -> tuple[list[PlannedJob], str | None]:
    """Marks the jobs whose run hash a finished run has; the newest such run is reused.

    The hash is over all of the config that can change the result, the data, and the code of expt
    and of the user's packages; the versions of installed packages are not in it. A run that was
    recorded before code was, or that continued with changed code, is not reused.

    Args:
        jobs: Of a new sweep.
        data: The fingerprint of each job's data.
        output_dir: The folder of all runs.

    Returns:
        The jobs that are marked, and a note on runs that other code has trained, if there are any.
    """
    finished: dict[str, _Finished] = {}
    for name, run in _finished(output_dir):
        if name not in finished or finished[name].order < run.order:
            finished[name] = run
    for job in jobs:
        if job.run_hash in finished:
            directory = finished[job.run_hash].directory
            job.status, job.reused = JobStatus.REUSED, str(directory.resolve())
    others = [pair for pair in zip(jobs, data, strict=True) if pair[0].reused is None]
    return [job for job in jobs if job.reused is not None], _note(others, finished)


def _finished(output_dir: Path) -> Iterator[tuple[str, _Finished]]:
    """Yields the run hash of each finished run, and the run; damaged records are left out."""
    ids = place_ids(output_dir)
    for file in records_in(output_dir):
        with suppress(UserError):
            record = read_run(file.parent)
            if record.status is Status.FINISHED and record.run_hash:
                run = _Finished(file.parent, order_of(record, ids), _code(record))
                yield record.run_hash, run


def _code(record: RunRecord) -> Code | None:
    recorded = recorded_code(record)
    if recorded is None:
        return None
    return recorded if recorded == Code.of_modules(recorded.modules) else None


def _note(jobs: Sequence[tuple[PlannedJob, str]], finished: dict[str, _Finished]) -> str | None:
    """Describes the finished runs that would be reused if other code were the current one."""
    codes = {run.code.hash: run.code for run in finished.values() if run.code is not None}
    count, changed = 0, set[str]()
    for job, data in jobs:
        if job.code is None:
            continue
        for code in codes.values():
            if run_hash(job.job.config, data, code.hash) in finished:
                count += 1
                changed |= set(changed_modules(code.modules, job.code.modules))
                break
    if not count:
        return None
    runs = "1 job has a finished run" if count == 1 else f"{count} jobs have finished runs"
    names = listed(sorted(changed, key=lambda name: (name.startswith("expt."), name)))
    return (
        f"{runs} that other code has trained, not reused: {names} changed since. Restore that code "
        "to reuse them; else these jobs are trained."
    )
