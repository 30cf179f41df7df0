"""Finds the best of several runs, by the recorded metrics of their best models."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expt.errors import UserError, hint
from expt.runs.chronology import by_age, records_in
from expt.runs.find import FoundRun, load_run
from expt.runs.leading import (
    BEST_PREFIX,
    best_values,
    is_comparable,
    larger_is_better,
    leading_metric,
)
from expt.runs.liveness import status_of
from expt.runs.record_parts import Status
from expt.runs.records import RUN_FILE, SWEEP_FILE, RunRecord
from expt.runs.sweeps import find_sweep, newest_sweep, runs_of, sweep_name

BEST = "best"
_BEST_OF_SWEEP = f"{BEST}@"
_MAX_NAMED = 5  # data sets in a message


@dataclass(frozen=True)
class Best:
    """The position and value of the best of several records.

    Attributes:
        index: Position of the best record in the sequence.
        metric: Metric that decided, such as `val/accuracy`.
        value: Value of the metric for the best model of that run.
        count: Number of records with a value of the metric.
    """

    index: int
    metric: str
    value: float
    count: int


@dataclass(frozen=True)
class BestRun:
    """The best of several runs.

    Attributes:
        run: The best run.
        best: The metric that decided, and its value.
        where: Description of the runs that were compared, for messages.
        left_out: Number of runs that were not compared: unfinished, without the metric, or on
            different data.
    """

    run: FoundRun
    best: Best
    where: str
    left_out: int


def is_best(name: str) -> bool:
    """Whether the name of a run is `best` or `best@SWEEP`."""
    return name == BEST or name.startswith(_BEST_OF_SWEEP)


def find_best(name: str, output_dir: Path, metric: str | None = None) -> BestRun:
    """Finds the best run of the newest sweep, or of the sweep that the name contains.

    If there is no sweep, all runs on the same data as the newest run are compared.

    Args:
        name: `best`, or `best@SWEEP` with a sweep's directory, its name, `latest`, or a folder of
            runs.
        output_dir: The folder of all runs.
        metric: Name of the metric that decides. None selects the monitored metric; if that is the
            loss, and the runs have different losses, another metric.

    Raises:
        UserError: There is no such run, or the runs can't be compared.
    """
    _, at, sweep = name.partition("@")
    folder = find_sweep(sweep, output_dir) if at else newest_sweep(output_dir)
    if folder is not None:
        directories = runs_of(folder)
        is_sweep = (folder / SWEEP_FILE).is_file()
        where = f"the sweep {sweep_name(folder)}" if is_sweep else os.path.relpath(folder)
    else:
        directories, where = [file.parent for file in records_in(output_dir)], str(output_dir)
    runs = _by_age(directories, output_dir)
    if not runs:
        raise UserError(f"{name}: there are no runs in {folder or output_dir}.")
    compared = runs
    if folder is None:
        # Values on different data can't be compared, and the newest run shows which data is meant.
        usable = [run for run in runs if is_usable(run.record)] or runs
        compared = [run for run in runs if _data_key(run.record) == _data_key(usable[-1].record)]
        where += f" on {_data_key(usable[-1].record)[0] or 'the same data'}"
    try:
        best = best_of([run.record for run in compared], metric)
    except UserError as error:
        raise UserError(f"{name}: {where}: {error}") from error
    return BestRun(compared[best.index], best, where, len(runs) - best.count)


def best_of(records: Sequence[RunRecord], metric: str | None = None) -> Best:
    """Finds the best of the finished runs; among equal values, the first one.

    Args:
        records: Records of the runs.
        metric: Name of the metric that decides; None as for `find_best`.

    Raises:
        UserError: No run has a value of the metric, or the runs can't be compared.
    """
    usable = {index: record for index, record in enumerate(records) if is_usable(record)}
    if not usable:
        raise UserError("no run has finished with a best value.")
    _check_data(list(usable.values()))
    chosen = _choose_metric(list(usable.values()), metric)
    values = {index: best_values(record).get(chosen) for index, record in usable.items()}
    measured = {index: value for index, value in values.items() if value is not None}
    larger = larger_is_better(chosen, [usable[i] for i in measured])
    index = (max if larger else min)(measured, key=measured.__getitem__)
    return Best(index, chosen, measured[index], len(measured))


def is_usable(record: RunRecord) -> bool:
    """Whether a run can be the best one: it has finished, and has metrics of a best model."""
    return status_of(record) is Status.FINISHED and bool(best_values(record))


def _by_age(directories: Sequence[Path], output_dir: Path) -> list[FoundRun]:
    """Returns the runs whose records can be read, the newest last."""
    dated = by_age((directory / RUN_FILE for directory in directories), output_dir)
    found = []
    for one in dated:
        with suppress(UserError):
            found.append(load_run(one.file.parent, output_dir))
    return found


def _data_key(record: RunRecord) -> tuple[object, ...]:
    """Returns a key that is equal for runs whose metrics can be compared: data, task and target."""
    data, params = record.data, record.params or {}
    return data.name or None, data.task or None, params.get("data.target")


def _check_data(records: Sequence[RunRecord]) -> None:
    kinds = dict.fromkeys(_data_key(record) for record in records)
    if len(kinds) > 1:
        texts = sorted(" ".join(str(one) for one in kind if one is not None) for kind in kinds)
        raise UserError(
            f"the runs are on different data or tasks ({', '.join(texts[:_MAX_NAMED])}), so "
            "their metrics can't be compared. Expected runs on the same data, such as those of one "
            "sweep: best@SWEEP."
        )


def _choose_metric(records: Sequence[RunRecord], given: str | None) -> str:
    """Returns the metric that decides, chosen as in comparisons unless the user has named one."""
    known = list(dict.fromkeys(key for record in records for key in best_values(record)))
    if given is not None:
        given = given.removeprefix(BEST_PREFIX)
        if given not in known:
            raise UserError(
                f"--metric {given}: no run has a best value of it. {hint(given, known)}"
            )
        return given
    metric = leading_metric(records)
    assert metric is not None
    if not is_comparable(metric, records):
        raise UserError(
            f"the runs have different losses, so their {metric} can't be compared, and no other "
            f"metric was recorded. Expected runs with the same loss, or --metric {metric}."
        )
    return metric
