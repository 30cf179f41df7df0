"""Runs and sweeps in a list, the newest first."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from expt.analysis.filters import filtered
from expt.errors import UserError, hint
from expt.runs.atomic import read_json
from expt.runs.best import best_of
from expt.runs.kinds import wrong_place
from expt.runs.leading import best_values, watched_metric
from expt.runs.life import status_of
from expt.runs.names import name_of
from expt.runs.order import RUN_FILE, SWEEP_FILE, order_of, place_ids, records_in
from expt.runs.sweeps import planned_jobs, reused_run

_UNREADABLE = "UNREADABLE"
_KINDS: Mapping[str, Any] = {
    "status": str,
    "started": float,
    **dict.fromkeys(("ended", "training_seconds"), (None, float)),
    **dict.fromkeys(("params", "choices", "best", "process", "data"), (None, dict)),
    **dict.fromkeys(("name", "watched"), (None, str)),
    "larger_is_better": (None, [str]),
}
_DONE = ("FINISHED", "REUSED")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run or a sweep.

    Attributes:
        directory: Its directory.
        name: Its name.
        status: FINISHED, FAILED, KILLED, RUNNING, PENDING or UNREADABLE.
        experiment: The MLflow experiment.
        params: A run's parameters by full key.
        order: A sort key: when it began.
        started: Seconds since 1970; None before it begins.
        seconds: How long it took, or takes by now; None if that is not known.
        metric: The metric of the best value.
        value: The best value, of a sweep that of its best run; None if there is none.
        record: What a run recorded; empty of a sweep.
        jobs: Of a sweep its jobs, the newest first; None of a run.
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
    record: Mapping[str, Any] = field(default_factory=dict)
    jobs: Sequence["Row"] | None = None

    @property
    def num_done(self) -> int:
        """How many jobs of a sweep are done."""
        return sum(job.status in _DONE for job in self.jobs or ())

    @property
    def num_failed(self) -> int:
        """How many jobs of a sweep have failed, or were killed."""
        return sum(job.status in ("FAILED", "KILLED") for job in self.jobs or ())


def list_rows(
    output_dir: Path, filters: Sequence[str] = (), metric: str | None = None
) -> Sequence[Row]:
    """Lists the runs and sweeps in a folder, the newest first.

    Args:
        output_dir: The folder of all runs.
        filters: As of comparisons. `status` is a run's or a sweep's; a sweep is listed with those
            of its jobs that pass the others, if any does.
        metric: The metric of the best values; None is the one that chose the best models.

    Raises:
        UserError: There are no runs, or none passes.
    """
    rows = _read(output_dir)
    if not rows:
        raise UserError(
            f"output_dir={output_dir}: there are no runs. Train one with python -m expt.run, or "
            "name their folder: output_dir=DIR."
        )
    of_jobs = [one for one in filters if not one.startswith("status=")]
    runs = [job for row in rows for job in (row.jobs or [row])]
    kept = {id(run) for run in filtered(runs, of_jobs)}
    rows = [one for row in rows if (one := _with_jobs(row, kept)) is not None]
    rows = list(filtered(rows, [one for one in filters if one.startswith("status=")]))
    return _with_best(rows, metric)


def list_jobs(sweep: Path, filters: Sequence[str] = (), metric: str | None = None) -> Sequence[Row]:
    """Lists the jobs of a sweep, the newest first; see `list_rows`."""
    row = _sweep(sweep, [_run(file.parent, None) for file in records_in(sweep)], None)
    (row,) = _with_best([row], metric)
    return filtered(row.jobs or (), filters)


def _read(output_dir: Path) -> list[Row]:
    ids = place_ids(output_dir)
    singles: list[Row] = []
    sweeps = {file.parent: list[Row]() for file in records_in(output_dir, SWEEP_FILE)}
    for file in records_in(output_dir):
        run, above = _run(file.parent, ids), file.parent.parent
        if above in sweeps or above.parent.parent.name == "sweeps":  # early ones have no file
            sweeps.setdefault(above, []).append(run)
        else:
            singles.append(run)
    rows = [*singles, *(_sweep(directory, runs, ids) for directory, runs in sweeps.items())]
    return sorted(rows, key=lambda row: row.order, reverse=True)


def _run(directory: Path, ids: frozenset[str] | None) -> Row:
    record = _record(directory / RUN_FILE)
    if record is None:
        return _unreadable(directory, RUN_FILE)
    return Row(
        directory=directory,
        name=name_of(record, directory),
        status=status_of(record),
        experiment=record.get("name") or "",
        params=record.get("params") or record.get("choices") or {},
        order=order_of(record, ids),
        started=record["started"],
        seconds=_seconds(record),
        record=record,
    )


def _sweep(directory: Path, runs: Sequence[Row], ids: frozenset[str] | None) -> Row:
    known = {run.directory.name: run for run in runs}
    planned = [_job(directory, job, known) for job in planned_jobs(directory)]
    names = {job.directory.name for job in planned}
    jobs = [*planned, *(run for run in runs if run.directory.name not in names)]
    jobs.sort(key=lambda job: job.order, reverse=True)
    experiment = next((job.experiment for job in jobs if job.experiment), "")
    record = _record(directory / SWEEP_FILE)
    if record is None and (directory / SWEEP_FILE).is_file():
        return replace(_unreadable(directory, SWEEP_FILE), experiment=experiment, jobs=jobs)
    if record is None:  # the earliest sweeps have no plan
        record = {"status": "FINISHED", "started": min(run.started or 0.0 for run in runs)}
    return Row(
        directory=directory,
        name=name_of(record, directory, SWEEP_FILE),
        status=status_of(record),
        experiment=record.get("name") or experiment,
        order=order_of(record, ids),
        started=record["started"],
        seconds=_seconds(record),
        jobs=jobs,
    )


def _job(sweep: Path, job: Mapping[str, Any], runs: Mapping[str, Row]) -> Row:
    """Returns the run of a job, or that of an earlier time, or what is planned."""
    if job["directory"] in runs:
        return runs[job["directory"]]
    earlier = None if job.get("reused") is None else reused_run(sweep.resolve(), job["reused"])
    if earlier is not None:
        return replace(_run(earlier, None), status="REUSED", order=(0, 0.0))
    directory = sweep / job["directory"]
    name = job.get("run_name") or directory.name
    return Row(directory=directory, name=name, status=job["status"])


def _record(file: Path) -> dict[str, Any] | None:
    """Reads a run's or a sweep's record; None if it is missing or damaged."""
    with suppress(UserError):
        record = read_json(file)
        if isinstance(record, dict) and wrong_place(record, _KINDS) is None:
            return record
    return None


def _unreadable(directory: Path, file: str) -> Row:
    changed = 0.0
    with suppress(OSError):
        changed = (directory / file).stat().st_mtime
    return Row(directory=directory, name=directory.name, status=_UNREADABLE, order=(0, changed))


def _seconds(record: Mapping[str, Any]) -> float | None:
    """The time between a resumed run's processes does not count: there, only training does."""
    if record.get("resumed"):
        return record.get("training_seconds")
    if record.get("ended") is not None:
        return float(record["ended"] - record["started"])
    return time.time() - record["started"] if status_of(record) == "RUNNING" else None


def _with_jobs(row: Row, kept: set[int]) -> Row | None:
    if row.jobs is None:
        return row if id(row) in kept else None
    jobs = [job for job in row.jobs if id(job) in kept]
    return replace(row, jobs=jobs) if jobs else None


def _with_best(rows: Sequence[Row], metric: str | None) -> Sequence[Row]:
    """Adds the best values.

    Raises:
        UserError: There is no such metric.
    """
    if metric is not None:
        runs = [job for row in rows for job in (row.jobs or [row])]
        known = {name for run in runs for name in best_values(run.record)}
        if (metric := metric.removeprefix("best/")) not in known:
            raise UserError(f"--metric {metric}: no run has its best value. {hint(metric, known)}")
    return [_valued(row, metric) for row in rows]


def _valued(row: Row, metric: str | None) -> Row:
    if row.jobs is None:
        metric = metric or watched_metric(row.record)
        return replace(row, metric=metric, value=best_values(row.record).get(metric or ""))
    value = None
    with suppress(UserError):  # of runs that can't be compared none is the best
        found = best_of([job.record for job in reversed(row.jobs)], metric)
        metric, value = found.metric, found.value  # of all jobs the same one
    return replace(row, metric=metric, value=value, jobs=[_valued(job, metric) for job in row.jobs])


def flattened(rows: Sequence[Row]) -> Iterator[Row]:
    """Yields rows, each sweep followed by its jobs, whose names are indented."""
    for row in rows:
        yield row
        for job in row.jobs or ():
            yield replace(job, name=f"  {job.name}")
