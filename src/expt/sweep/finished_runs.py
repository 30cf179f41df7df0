"""Reuses finished runs for jobs of a sweep, as `sweep.reuse` requests."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expt.config.hashes import run_hash
from expt.config.sources import Code, changed_modules
from expt.errors import UserError
from expt.runs.changed_code import listed, recorded_code
from expt.runs.chronology import place_ids, records_in, sort_key
from expt.runs.record_parts import JobStatus, Status
from expt.runs.records import RunRecord, read_run
from expt.sweep.jobs import PlannedJob


@dataclass(frozen=True)
class _FinishedRun:
    """A finished run that jobs may reuse.

    Attributes:
        directory: Directory of the run.
        order: Sort key of the run's age.
        code: The run's code; None if it was not recorded, or has changed during training.
    """

    directory: Path
    order: tuple[int, float]
    code: Code | None


def reuse_finished(
    jobs: Sequence[PlannedJob], data: Sequence[str], output_dir: Path
) -> tuple[list[PlannedJob], str | None]:
    """Marks jobs as REUSED if a finished run has the same run hash; the newest such run is used.

    The run hash covers everything in the config that can change the result, the data, and the code
    of expt and of the user's packages. It does not cover the versions of installed packages. Runs
    without recorded code, or whose code changed during training, have different hashes and are
    not reused.

    Args:
        jobs: Jobs of a new sweep.
        data: Fingerprint of each job's data.
        output_dir: The folder of all runs.

    Returns:
        The jobs that were marked, and a note for the user on runs that are not reused because they
        were trained with different code; None if there are none.
    """
    finished: dict[str, _FinishedRun] = {}
    for name, run in _finished_runs(output_dir):
        if name not in finished or finished[name].order < run.order:
            finished[name] = run
    for job in jobs:
        if job.run_hash in finished:
            directory = finished[job.run_hash].directory
            job.status, job.reused = JobStatus.REUSED, str(directory.resolve())
    others = [pair for pair in zip(jobs, data, strict=True) if pair[0].reused is None]
    return [job for job in jobs if job.reused is not None], _different_code_note(others, finished)


def _finished_runs(output_dir: Path) -> Iterator[tuple[str, _FinishedRun]]:
    """Yields the run hash and the run for each finished run; damaged records are skipped."""
    ids = place_ids(output_dir)
    for file in records_in(output_dir):
        with suppress(UserError):
            record = read_run(file.parent)
            if record.status is Status.FINISHED and record.run_hash:
                run = _FinishedRun(file.parent, sort_key(record, ids), _unchanged_code(record))
                yield record.run_hash, run


def _unchanged_code(record: RunRecord) -> Code | None:
    """Returns a run's code; None if it was not recorded, or has changed during training.

    A resumed run that continued with changed code records the new modules, but its hash also
    covers the former ones, so that hash and modules do not match.
    """
    recorded = recorded_code(record)
    if recorded is None:
        return None
    return recorded if recorded == Code.of_modules(recorded.modules) else None


def _different_code_note(
    jobs: Sequence[tuple[PlannedJob, str]], finished: dict[str, _FinishedRun]
) -> str | None:
    """Returns a note on finished runs that differ from jobs only in their code; None if none do."""
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
        f"{runs} trained with different code, not reused: {names} changed since then. Restore that "
        "code to reuse them; otherwise these jobs are trained again."
    )
