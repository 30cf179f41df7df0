"""The metric by which runs are compared, as their records determine it."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from expt.runs.records import RunRecord

BEST_PREFIX = "best/"
"""Prefix of the names of metrics that belong to a run's best model."""

_LOSS = "loss"


def best_values(record: RunRecord) -> dict[str, float]:
    """Returns the finite metrics of a run's best model by name, such as `val/accuracy`."""
    return {
        name: float(value)
        for name, value in (() if record.best is None else record.best.values.items())
        if "/" in name and isinstance(value, int | float) and math.isfinite(value)
    }


def monitored_metric(record: RunRecord) -> str | None:
    """Returns the monitored metric, which selected a run's best model."""
    chosen_by = None if record.best is None else record.best.watched
    return chosen_by or record.watched


def leading_metric(records: Sequence[RunRecord]) -> str | None:
    """Returns the metric by which the best models of several runs are compared.

    This is the metric that most of the runs monitor. If it is a loss, and the runs have different
    losses, it is the first other metric, because values of different losses can't be compared.

    Args:
        records: Records of the runs.

    Returns:
        The name of the metric; None if no run has metrics of a best model.
    """
    known = list(dict.fromkeys(name for record in records for name in best_values(record)))
    return choose_metric(
        known, map(monitored_metric, records), len(set(map(_loss_key, records))) > 1
    )


def choose_metric(
    known: Sequence[str], watched: Iterable[str | None], losses_differ: bool
) -> str | None:
    """Selects the metric for a comparison; see `leading_metric`.

    Args:
        known: Names of the metrics of the runs' best models.
        watched: Monitored metric of each run.
        losses_differ: Whether the runs have different losses.
    """
    # A vote, since runs of several experiments may be compared that monitor different metrics.
    counts = Counter(metric for metric in watched if metric in known)
    leading = counts.most_common(1)[0][0] if counts else next(iter(known), None)
    if leading is None or not (losses_differ and _is_loss(leading)):
        return leading
    return next((name for name in known if not _is_loss(name)), leading)


def is_comparable(metric: str, records: Iterable[RunRecord]) -> bool:
    """Whether a metric is the same quantity in all runs; a loss is so only if all have the same."""
    return not _is_loss(metric) or len(set(map(_loss_key, records))) <= 1


def larger_is_better(metric: str, records: Iterable[RunRecord]) -> bool:
    """Whether larger values of a metric are better, according to the records of runs with it."""
    return is_metric_larger_better(
        metric, {n for one in records for n in one.larger_is_better or ()}
    )


def is_metric_larger_better(metric: str, larger: Collection[str]) -> bool:
    """Whether larger values of a metric are better.

    Args:
        metric: Full name of the metric, with or without the prefix `best/`.
        larger: Names of the metrics of which larger values are better, with or without the split.
    """
    plain = metric.removeprefix(BEST_PREFIX)
    return plain in larger or plain.rpartition("/")[2] in larger


def _is_loss(metric: str) -> bool:
    return metric.rpartition("/")[2] == _LOSS


def _loss_key(record: RunRecord) -> str:
    # Including its parameters: with different ones, the values of a loss can't be compared.
    params = record.params or record.choices
    return str({k: v for k, v in sorted(params.items()) if k.partition(".")[0] == _LOSS})
