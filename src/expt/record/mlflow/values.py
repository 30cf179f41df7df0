"""Metrics in an MLflow store: their names, their final values, and their comparison."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from mlflow.entities import Metric

from expt.runs.records import RunRecord

EVALUATION = "with"
"""The prefix of the metrics of later evaluations; it sorts their charts behind all others."""

_LARGEST = 1.7976931348623157e308  # MLflow stores infinity as this number
_MEASURED, _SYSTEM = "perf/", "system/"
_BYTES_A_MEGABYTE = 1e6


def metric_name(name: str) -> str:
    """Returns the MLflow name of a metric; speeds are among MLflow's system metrics."""
    return _SYSTEM + name.removeprefix(_MEASURED) if name.startswith(_MEASURED) else name


def final_values(record: RunRecord) -> dict[str, float]:
    """Returns the final values of a run: the best model's metrics and step, and the peak memory."""
    best = {} if record.best is None else record.best.to_mapping()
    # Separate names, since the latest value of a curve, which MLflow shows, is not the best one.
    values = {f"best/{k}": shortest(v) for k, v in best.items() if k == "step" or "/" in k}
    if record.peak_memory is not None:
        values[f"{_SYSTEM}peak_memory_megabytes"] = round(record.peak_memory / _BYTES_A_MEGABYTE, 1)
    return values


def shortest(value: float) -> float:
    """Returns the shortest decimal number that is equal in float32.

    MLflow's pages show all digits, such as 0.10000000149011612 for 0.1.
    """
    return float(str(np.float32(value)))


def outdated(
    wanted: Mapping[str, float], stored: Iterable[Metric], moment: int
) -> Iterable[Metric]:
    """Yields the metrics to log so that the store's latest values are the wanted ones.

    New values are logged at step 0, for which MLflow's charts draw a bar instead of a point. The
    latest value is the one with the largest step and time. So a changed value is logged with the
    step of the stored one and a later time, even if the clock has been set back.

    Args:
        wanted: The wanted value of each metric.
        stored: The latest values in the store.
        moment: The time of the values, in milliseconds since 1970.
    """
    latest = {metric.key: metric for metric in stored}
    for key, value in wanted.items():
        known = latest.get(key)
        if known is None:
            yield Metric(key, value, moment, 0)
            continue
        metric = Metric(key, value, max(moment, known.timestamp + 1), known.step)
        if identity(metric) != identity(known):
            yield metric


def identity(metric: Metric) -> tuple[str, int, float | None]:
    """Returns name, step and value in a form that compares equal to what a store returns."""
    # NaN is not equal to itself, so None stands for it.
    if math.isnan(metric.value):
        return metric.key, metric.step, None
    return metric.key, metric.step, max(-_LARGEST, min(metric.value, _LARGEST))
