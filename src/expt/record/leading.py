"""The metric that decides between runs, by what their records say."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LOSS = "loss"


def best_values(record: Mapping[str, Any]) -> dict[str, float]:
    """Returns the metrics of a run's kept model, such as `val/accuracy`; finite ones alone."""
    return {
        name: float(value)
        for name, value in (record.get("best") or {}).items()
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def leading_metric(records: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the metric that decides between the kept models of some runs.

    This is the one that chose most of them. If that is a loss and the runs have different losses,
    it is the first other metric: values of different losses can't be compared.

    Args:
        records: The contents of the runs' run.json.
    """
    known = list(dict.fromkeys(name for record in records for name in best_values(record)))
    monitored = [(record.get("best") or {}).get("watched") for record in records]
    counts = Counter(name for name in monitored if name in known)
    leading = next((name for name, _ in counts.most_common(1)), next(iter(known), None))
    if leading is None or not _is_loss(leading) or len(set(map(_loss_of, records))) == 1:
        return leading
    return next((name for name in known if not _is_loss(name)), leading)


def is_larger_better(metric: str, records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether larger values of a metric are better, by the records of runs that have it."""
    larger = {name for record in records for name in record.get("larger_is_better") or ()}
    return metric in larger or metric.rpartition("/")[2] in larger


def _is_loss(metric: str) -> bool:
    return metric.rpartition("/")[2] == _LOSS


def _loss_of(record: Mapping[str, Any]) -> str:
    params = record.get("params") or record.get("choices") or {}
    return str({k: v for k, v in sorted(params.items()) if k.partition(".")[0] == _LOSS})
