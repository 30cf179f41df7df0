"""The list of runs and sweeps, newest first."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expt.analysis.filters import filtered
from expt.errors import UserError, hint
from expt.runs.best import best_of
from expt.runs.chronology import place_ids, records_in, sort_key
from expt.runs.leading import best_values, monitored_metric
from expt.runs.liveness import status_of
from expt.runs.names import name_of
from expt.runs.record_parts import JobRecord, JobStatus, Status
from expt.runs.records import RUN_FILE, SWEEP_FILE, RunRecord, SweepRecord, read_run, read_sweep
from expt.runs.sweeps import planned_jobs, reused_run

_UNREADABLE = "UNREADABLE"
_DONE = (JobStatus.FINISHED, JobStatus.REUSED)


@dataclass(frozen=True, kw_only=True)
class ListRow:
    """A row of the list: a run, a sweep, or a job of a sweep.

    Attributes:
        directory: The directory of the run or sweep.
        name: The name of the run or sweep.
        status: FINISHED, FAILED, KILLED, RUNNING, PENDING, REUSED or UNREADABLE.
        experiment: The name of the MLflow experiment; empty if unknown.
        params: The parameters of a run by full key; empty for a sweep.
        order: A sort key that orders rows by their start.
        started: The start in seconds since 1970; None if not started.
        seconds: The duration in seconds, up to now while running; None if unknown.
        metric: The name of the metric in `value`.
        value: The best value of a run, or that of the best run of a sweep; None if there is none.
        record: The record of a run; None for a sweep, and for a job that has not started.
        jobs: The jobs of a sweep, newest first; None for a run.
    """

    directory: Path
    name: str
    status: str
    experiment: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    order: tuple[int, float] = (0, 0.0)
    started: float | None = None
    seconds: float | None = None
    metric: str | None = None
    value: float | None = None
    record: RunRecord | None = None
    jobs: Sequence["ListRow"] | None = None

    @property
    def num_done(self) -> int:
        """The number of finished or reused jobs of a sweep."""
        return sum(job.status in _DONE for job in self.jobs or ())

    @property
    def num_failed(self) -> int:
        """The number of jobs of a sweep that failed or were killed."""
        return sum(job.status in ("FAILED", "KILLED") for job in self.jobs or ())


def list_rows(
    output_dir: Path, filters: Sequence[str] = (), metric: str | None = None
) -> Sequence[ListRow]:
    """Lists the runs and sweeps in a folder, newest first.

    Args:
        output_dir: The folder of all runs.
        filters: Filters as in `filters.filtered`. `status` filters the rows: single runs and
            sweeps. All other filters apply to single runs and to the jobs of sweeps: a sweep is
            listed with the jobs that pass, and left out if none does.
        metric: The metric of the best values; None for the metric that each run monitored.

    Raises:
        UserError: There are no runs, none passes the filters, or no run has the metric.
    """
    rows = _read(output_dir)
    if not rows:
        raise UserError(
            f"output_dir={output_dir}: there are no runs. Train one with python -m expt.run, or "
            "pass the folder that contains your runs: output_dir=DIR."
        )
    run_filters = [one for one in filters if not one.startswith("status=")]
    runs = [job for row in rows for job in (row.jobs or [row])]
    # By identity, since rows hold mappings and are therefore not hashable.
    kept = {id(run) for run in filtered(runs, run_filters)}
    rows = [one for row in rows if (one := _with_jobs(row, kept)) is not None]
    rows = list(filtered(rows, [one for one in filters if one.startswith("status=")]))
    return _with_best(rows, metric)


def list_jobs(
    sweep: Path, filters: Sequence[str] = (), metric: str | None = None
) -> Sequence[ListRow]:
    """Lists the jobs of a sweep, newest first.

    Args:
        sweep: The directory of the sweep.
        filters: Filters as in `filters.filtered`.
        metric: The metric of the best values; None for the monitored metric.

    Raises:
        UserError: No job passes the filters, or none has the metric.
    """
    row = _sweep(sweep, [_run(file.parent, None) for file in records_in(sweep)], None)
    (row,) = _with_best([row], metric)
    return filtered(row.jobs or (), filters)


def _read(output_dir: Path) -> list[ListRow]:
    ids = place_ids(output_dir)
    singles: list[ListRow] = []
    sweeps = {file.parent: list[ListRow]() for file in records_in(output_dir, SWEEP_FILE)}
    for file in records_in(output_dir):
        run, above = _run(file.parent, ids), file.parent.parent
        # The first versions wrote no sweep.json; their sweeps are recognized by the folder.
        if above in sweeps or above.parent.parent.name == "sweeps":
            sweeps.setdefault(above, []).append(run)
        else:
            singles.append(run)
    rows = [*singles, *(_sweep(directory, runs, ids) for directory, runs in sweeps.items())]
    return sorted(rows, key=lambda row: row.order, reverse=True)


def _run(directory: Path, ids: frozenset[str] | None) -> ListRow:
    try:
        record = read_run(directory)
    except UserError:
        return _unreadable(directory, RUN_FILE)
    return ListRow(
        directory=directory,
        name=name_of(record, directory),
        status=status_of(record),
        experiment=record.name or "",
        params=record.params or record.choices,
        order=sort_key(record, ids),
        started=record.started,
        seconds=_seconds(record),
        record=record,
    )


def _sweep(directory: Path, runs: Sequence[ListRow], ids: frozenset[str] | None) -> ListRow:
    known = {run.directory.name: run for run in runs}
    planned = [_job(directory, job, known) for job in planned_jobs(directory).values()]
    names = {job.directory.name for job in planned}
    jobs = [*planned, *(run for run in runs if run.directory.name not in names)]
    jobs.sort(key=lambda job: job.order, reverse=True)
    experiment = next((job.experiment for job in jobs if job.experiment), "")
    try:
        record = read_sweep(directory)
    except UserError:
        if (directory / SWEEP_FILE).is_file():
            return replace(_unreadable(directory, SWEEP_FILE), experiment=experiment, jobs=jobs)
        # A sweep of the first versions, which wrote no sweep.json.
        started = min(run.started or 0.0 for run in runs)
        record = SweepRecord(status=Status.FINISHED, started=started)
    return ListRow(
        directory=directory,
        name=name_of(record, directory),
        status=status_of(record),
        experiment=record.name or experiment,
        order=sort_key(record, ids),
        started=record.started,
        seconds=_seconds(record),
        jobs=jobs,
    )


def _job(sweep: Path, job: JobRecord, runs: Mapping[str, ListRow]) -> ListRow:
    """Returns the row of a job's own run, of the run it reuses, or of a job that has no run yet."""
    if job.directory in runs:
        return runs[job.directory]
    previous = None if job.reused is None else reused_run(sweep.resolve(), job.reused)
    if previous is not None:
        # Not the order of the reused run, which may be older than the whole sweep.
        return replace(_run(previous, None), status="REUSED", order=(0, 0.0))
    name = job.run_name or job.directory
    return ListRow(directory=sweep / job.directory, name=name, status=job.status)


def _unreadable(directory: Path, file: str) -> ListRow:
    # A damaged record has no readable start, so its modification time orders the row instead.
    changed = 0.0
    with suppress(OSError):
        changed = (directory / file).stat().st_mtime
    return ListRow(directory=directory, name=directory.name, status=_UNREADABLE, order=(0, changed))


def _seconds(record: RunRecord | SweepRecord) -> float | None:
    """Returns the duration of a run or sweep in seconds; None if unknown."""
    # A run may be resumed days later; the time in between does not count.
    if isinstance(record, RunRecord) and record.resumed:
        return record.training_seconds
    if record.ended is not None:
        return record.ended - record.started
    return time.time() - record.started if status_of(record) is Status.RUNNING else None


def _with_jobs(row: ListRow, kept: set[int]) -> ListRow | None:
    if row.jobs is None:
        return row if id(row) in kept else None
    jobs = [job for job in row.jobs if id(job) in kept]
    return replace(row, jobs=jobs) if jobs else None


def _with_best(rows: Sequence[ListRow], metric: str | None) -> Sequence[ListRow]:
    """Returns the rows with their best values.

    Raises:
        UserError: No run has the metric.
    """
    if metric is not None:
        runs = [job for row in rows for job in (row.jobs or [row])]
        known = {n for run in runs if run.record is not None for n in best_values(run.record)}
        if (metric := metric.removeprefix("best/")) not in known:
            raise UserError(
                f"--metric {metric}: no run has a best value of this metric. {hint(metric, known)}"
            )
    return [_with_value(row, metric) for row in rows]


def _with_value(row: ListRow, metric: str | None) -> ListRow:
    if row.jobs is None:
        if row.record is None:
            return replace(row, metric=metric)
        metric = metric or monitored_metric(row.record)
        return replace(row, metric=metric, value=best_values(row.record).get(metric or ""))
    value = None
    # `best_of` raises a UserError if the runs can't be compared, for example because their data
    # differs. The sweep is then listed without a value.
    with suppress(UserError):
        records = (job.record for job in reversed(row.jobs))
        found = best_of([record for record in records if record is not None], metric)
        # The jobs below show the same metric as their sweep, even if they monitored different ones.
        metric, value = found.metric, found.value
    jobs = [_with_value(job, metric) for job in row.jobs]
    return replace(row, metric=metric, value=value, jobs=jobs)


def flatten_rows(rows: Sequence[ListRow]) -> Iterator[ListRow]:
    """Yields the rows, each sweep followed by its jobs with indented names."""
    for row in rows:
        yield row
        for job in row.jobs or ():
            yield replace(job, name=f"  {job.name}")
