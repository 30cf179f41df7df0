"""The metric that decides between runs, by their records."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from expt.runs.records import RunRecord

BEST_PREFIX = "best/"
"""What the name of a metric begins with where it is that of the kept model, the best one."""

_LOSS = "loss"


def best_values(record: RunRecord) -> dict[str, float]:
    """Returns the metrics of a run's best model, such as `val/accuracy`; finite ones alone."""
    return {
        name: float(value)
        for name, value in (() if record.best is None else record.best.values.items())
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def watched_metric(record: RunRecord) -> str | None:
    """Returns the metric that chose a run's best model."""
    chosen_by = None if record.best is None else record.best.watched
    return chosen_by or record.watched


def leading_metric(records: Sequence[RunRecord]) -> str | None:
    """Returns the metric that decides between the best models of some runs.

    This is the one that chose most of them. If that is a loss and the runs have different losses,
    it is the first other metric: values of different losses can't be compared.

    Args:
        records: The runs'.
    """
    known = list(dict.fromkeys(name for record in records for name in best_values(record)))
    return decisive_metric(
        known, map(watched_metric, records), len(set(map(_loss_of, records))) > 1
    )


def decisive_metric(
    known: Sequence[str], watched: Iterable[str | None], losses_differ: bool
) -> str | None:
    """Returns which of some metrics decides; see `leading_metric`.

    Args:
        known: The metrics of the runs' best models.
        watched: The metric that chose each of these.
        losses_differ: Whether the runs have different losses.
    """
    counts = Counter(metric for metric in watched if metric in known)
    leading = counts.most_common(1)[0][0] if counts else next(iter(known), None)
    if leading is None or not (losses_differ and _is_loss(leading)):
        return leading
    return next((name for name in known if not _is_loss(name)), leading)


def is_comparable(metric: str, records: Iterable[RunRecord]) -> bool:
    """Whether a metric is the same quantity in some runs, as a loss is only where they share it."""
    return not _is_loss(metric) or len(set(map(_loss_of, records))) <= 1


def larger_is_better(metric: str, records: Iterable[RunRecord]) -> bool:
    """Whether larger values of a metric are better, by the records of runs that have it."""
    return is_larger_better(metric, {n for one in records for n in one.larger_is_better or ()})


def is_larger_better(metric: str, larger: Collection[str]) -> bool:
    """Whether larger values of a metric are better.

    Args:
        metric: Its full name, with `best/` before it or not.
        larger: The names of the metrics of which larger values are better, `val/` left out or not.
    """
    plain = metric.removeprefix(BEST_PREFIX)
    return plain in larger or plain.rpartition("/")[2] in larger


def _is_loss(metric: str) -> bool:
    return metric.rpartition("/")[2] == _LOSS


def _loss_of(record: RunRecord) -> str:
    params = record.params or record.choices
    return str({k: v for k, v in sorted(params.items()) if k.partition(".")[0] == _LOSS})
