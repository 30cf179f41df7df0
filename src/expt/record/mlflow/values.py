"""Names of metrics in an MLflow store, and values that a run has once, at its end."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from mlflow.entities import Metric

from expt.runs.records import RunRecord

EVALUATION = "with"
"""What the metrics of a later evaluation begin with; their charts come after all others."""

_LARGEST = 1.7976931348623157e308  # what MLflow makes of infinity
_MEASURED, _SYSTEM = "perf/", "system/"
_BYTES_A_MEGABYTE = 1e6


def metric_name(name: str) -> str:
    """Returns what MLflow calls a metric of the journal: speed is one of the system's metrics."""
    return _SYSTEM + name.removeprefix(_MEASURED) if name.startswith(_MEASURED) else name


def final_values(record: RunRecord) -> dict[str, float]:
    """Returns the values of a run's end: the metrics of the kept model, its step, the memory."""
    best = {} if record.best is None else record.best.to_mapping()
    values = {f"best/{k}": shortest(v) for k, v in best.items() if k == "step" or "/" in k}
    if record.peak_memory is not None:
        values[f"{_SYSTEM}peak_memory_megabytes"] = round(record.peak_memory / _BYTES_A_MEGABYTE, 1)
    return values


def shortest(value: float) -> float:
    """Returns the shortest number that is the same in float32, for pages that show all digits."""
    return float(str(np.float32(value)))


def outdated(
    wanted: Mapping[str, float], stored: Iterable[Metric], moment: int
) -> Iterable[Metric]:
    """Yields what makes some values the latest of their names.

    Charts draw a bar of a metric at step 0, and a point at a later one. The latest value is that
    of the largest step and time, so a changed value has the step of the stored one and a later
    time, whatever the clock says.

    Args:
        wanted: By name.
        stored: The latest values in the store.
        moment: Milliseconds since 1970.
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
    """What makes a value the same one, as a store returns it: not a number is None."""
    if math.isnan(metric.value):
        return metric.key, metric.step, None
    return metric.key, metric.step, max(-_LARGEST, min(metric.value, _LARGEST))
