"""The metric that decides between runs, by their records."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LOSS = "loss"


def best_values(record: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of a run's best model, such as `val/accuracy`; finite ones alone."""
    return {
        name: float(value)
        for name, value in (record.get("best") or {}).items()
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def watched_metric(record: Mapping[str, Any]) -> str | None:
    """Returns the metric that chose a run's best model."""
    watched = (record.get("best") or {}).get("watched") or record.get("watched")
    return watched if isinstance(watched, str) else None


def leading_metric(records: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the metric that decides between the best models of some runs.

    This is the one that chose most of them. If that is a loss and the runs have different losses,
    it is the first other metric: values of different losses can't be compared.

    Args:
        records: The contents of the runs' run.json.
    """
    known = list(dict.fromkeys(name for record in records for name in best_values(record)))
    counts = Counter(metric for record in records if (metric := watched_metric(record)) in known)
    leading = counts.most_common(1)[0][0] if counts else next(iter(known), None)
    if leading is None or is_comparable(leading, records):
        return leading
    return next((name for name in known if is_comparable(name, records)), leading)


def is_comparable(metric: str, records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a metric is the same quantity in some runs, as a loss is only where they share it."""
    return metric.rpartition("/")[2] != _LOSS or len(set(map(_loss_of, records))) <= 1


def larger_is_better(metric: str, records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether larger values of a metric are better, by the records of runs that have it."""
    larger = {name for record in records for name in record.get("larger_is_better") or ()}
    return metric in larger or metric.rpartition("/")[2] in larger


def _loss_of(record: Mapping[str, Any]) -> str:
    params = record.get("params") or record.get("choices") or {}
    return str({k: v for k, v in sorted(params.items()) if k.partition(".")[0] == _LOSS})
