"""The best of some runs, by the values that were recorded of their kept models."""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expt.errors import UserError, hint
from expt.runs.find import FoundRun, read_run
from expt.runs.kinds import wrong_place
from expt.runs.life import status_of
from expt.runs.order import RUN_FILE, SWEEP_FILE, by_age, records_in
from expt.runs.sweeps import find_sweep, newest_sweep, runs_of, sweep_name

BEST = "best"
_OF_A_SWEEP = f"{BEST}@"
_PREFIX = f"{BEST}/"  # what the metrics of the kept model begin with in comparisons
_LOSS = "loss"
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("best", "params", "choices"), (None, dict)),
    "larger_is_better": (None, [str]),
    "watched": (None, str),
    "data": (None, {**dict.fromkeys(("name", "task"), (None, str))}),
}


@dataclass(frozen=True)
class BestRun:
    """The best of some runs.

    Attributes:
        run: It.
        metric: The metric that decided, such as `val/accuracy`.
        value: Its value, that of the kept model.
        count: How many runs were compared.
        where: Where these are.
        left_out: How many other runs are there: not finished, without the metric, or on other data.
    """

    run: FoundRun
    metric: str
    value: float
    count: int
    where: str
    left_out: int


def is_best(name: str) -> bool:
    """Whether a name of a run asks for the best one: `best`, or `best@SWEEP`."""
    return name == BEST or name.startswith(_OF_A_SWEEP)


def find_best(name: str, output_dir: Path, metric: str | None = None) -> BestRun:
    """Finds the best of the newest sweep, or of the sweep that is named.

    Where there is no sweep, it is the best of the runs on the same data as the newest one.

    Args:
        name: `best`; or `best@SWEEP`, with a sweep's directory, its name, `latest`, or a folder.
        output_dir: Where to look.
        metric: The metric that decides; None is the one that chose the runs' best models, or if
            that is a loss and the runs have different ones, another metric.

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
        raise UserError(f"{name}: there are no runs in {output_dir}.")
    finished = [run for run in runs if _is_usable(run)]
    if folder is None and finished:
        finished = [run for run in finished if _data_of(run) == _data_of(finished[-1])]
        where = f"{where} on {(finished[-1].record.get('data') or {}).get('name', 'the same data')}"
    _check_data(finished, name)
    chosen = _metric(finished, name, metric)
    measured = [run for run in finished if chosen in best_values(run.record)]
    if not measured:
        raise UserError(
            f"{name}: no run in {where} is finished and has a best value yet. Expected at least "
            "one; a run's directory or its name always works."
        )
    larger = is_larger_better(chosen, measured[-1].record.get("larger_is_better") or ())
    choose = max if larger else min
    best = choose(measured, key=lambda run: best_values(run.record)[chosen])
    value = best_values(best.record)[chosen]
    return BestRun(best, chosen, value, len(measured), where, len(runs) - len(measured))


def best_values(record: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of a run's kept model, without those that are not finite."""
    return {
        name: float(value)
        for name, value in (record.get("best") or {}).items()
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def watched_metric(record: Mapping[str, Any]) -> str | None:
    """Returns the metric that chose a run's best model."""
    watched = (record.get("best") or {}).get("watched") or record.get("watched")
    return watched if isinstance(watched, str) else None


def is_larger_better(metric: str, larger: Iterable[str]) -> bool:
    """Whether larger values of a metric are better.

    Args:
        metric: Its full name.
        larger: Names such as `accuracy`, or full ones, as a run's record has them.
    """
    return metric in larger or metric.rpartition("/")[2] in larger


def _by_age(directories: Sequence[Path], output_dir: Path) -> list[FoundRun]:
    """Returns the runs whose records are whole, the newest last."""
    files = [directory / RUN_FILE for directory in directories]
    found = []
    for one in by_age(files, output_dir):
        if not one.is_damaged:
            run = read_run(one.file.parent, output_dir)
            if wrong_place(run.record, _KINDS) is None:
                found.append(run)
    return found


def _is_usable(run: FoundRun) -> bool:
    return status_of(run.record) == "FINISHED" and bool(best_values(run.record))


def _data_of(run: FoundRun) -> tuple[object, ...]:
    """What must be equal in runs for their metrics to be comparable."""
    data, params = run.record.get("data") or {}, run.record.get("params") or {}
    return data.get("name"), data.get("task"), params.get("data.target")


def _check_data(runs: Sequence[FoundRun], name: str) -> None:
    kinds = dict.fromkeys(_data_of(run) for run in runs)
    if len(kinds) > 1:
        names = ", ".join(sorted({str(kind[0]) for kind in kinds}))
        raise UserError(
            f"{name}: the runs are on different data or tasks ({names}), so that their metrics "
            "can't be compared. Expected runs on the same data; best@SWEEP names another sweep."
        )


def _metric(runs: Sequence[FoundRun], name: str, given: str | None) -> str:
    """Returns the metric that decides: as comparisons choose the one that leads."""
    known = list(dict.fromkeys(key for run in runs for key in best_values(run.record)))
    if given is not None:
        given = given.removeprefix(_PREFIX)
        if given not in known and known:
            raise UserError(
                f"--metric {given}: no run has a best value of it. {hint(given, known)}"
            )
        return given
    watched = [watched_metric(run.record) for run in runs]
    counts = Counter(metric for metric in watched if metric in known)
    if not counts:
        return next(iter(known), f"val/{_LOSS}")
    ((metric, _),) = counts.most_common(1)
    assert metric is not None
    if not metric.endswith(f"/{_LOSS}") or not _losses_differ(runs):
        return metric
    other = next((key for key in known if not key.endswith(f"/{_LOSS}")), None)
    if other is None:
        raise UserError(
            f"{name}: the runs have different losses, of which {metric} is not the same quantity, "
            "and no other metric was recorded. Expected runs with the same loss, or --metric."
        )
    return other


def _losses_differ(runs: Sequence[FoundRun]) -> bool:
    return len({_loss_of(run.record) for run in runs}) > 1


def _loss_of(record: Mapping[str, Any]) -> str:
    params = record.get("params") or record.get("choices") or {}
    return str({k: v for k, v in sorted(params.items()) if k.partition(".")[0] == _LOSS})
