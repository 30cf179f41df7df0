"""Fast insertion of metrics into an embedded MLflow store.

MLflow makes an object of SQLAlchemy for each value, which takes much longer than inserting the
rows. Only the table of all values is filled here; MLflow itself logs the latest value of each
metric, and thus checks the run and updates all other tables.
"""

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mlflow.entities import Metric

_SECONDS_TO_WAIT = 20.0  # for another process that writes; MLflow waits as long
_LARGEST = 1.7976931348623157e308  # MLflow stores infinity as this number
_INSERT = (
    "INSERT OR IGNORE INTO metrics (key, value, timestamp, step, is_nan, run_uuid) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


def latest_of(metrics: Sequence[Metric]) -> list[Metric]:
    """Returns the latest value of each metric, by MLflow's rule: the largest step, then time."""
    latest: dict[str, Metric] = {}
    for metric in metrics:
        known = latest.get(metric.key)
        if known is None or _order(known) <= _order(metric):
            latest[metric.key] = metric
    return list(latest.values())


def insert_metrics(file: Path, run_id: str, metrics: Sequence[Metric]) -> None:
    """Inserts values of a run that exists into the database, except those that it has.

    Args:
        file: The database of the store.
        run_id: The id of the run in the store.
        metrics: The values.

    Raises:
        sqlite3.Error: The database can't be written.
    """
    with closing(sqlite3.connect(file, timeout=_SECONDS_TO_WAIT)) as connection, connection:
        connection.executemany(_INSERT, _rows(run_id, metrics))


def _rows(
    run_id: str, metrics: Sequence[Metric]
) -> Iterator[tuple[str, float, int, int, int, str]]:
    for metric in metrics:
        is_nan = math.isnan(metric.value)
        value = 0.0 if is_nan else max(-_LARGEST, min(metric.value, _LARGEST))
        yield metric.key, value, metric.timestamp, metric.step, int(is_nan), run_id


def _order(metric: Metric) -> tuple[int, int, float]:
    value = 0.0 if math.isnan(metric.value) else metric.value
    return metric.step, metric.timestamp, value
