import math
from pathlib import Path

from mlflow.entities import Metric

from expt.record.mlflow.bulk import insert_metrics, latest_of
from expt.record.mlflow.store import database, find_experiment, open_store


def test_inserted_values_are_those_that_mlflow_inserts(tmp_path: Path) -> None:
    client = open_store(tmp_path)
    experiment = find_experiment(client, "expt", tmp_path)
    values = [1.5, math.nan, math.inf, -math.inf, 0.1, 0.1]
    metrics = [Metric("a", value, 1_000 + n, n // 2) for n, value in enumerate(values)]
    metrics += [Metric("b", 2.0, 1_000, 0), Metric("b", 2.0, 1_000, 0)]
    bulk, slow = (client.create_run(experiment).info.run_id for _ in range(2))
    client.log_batch(slow, metrics)
    client.log_batch(bulk, latest_of(metrics))
    for _ in range(2):  # a repetition changes nothing
        insert_metrics(database(tmp_path), bulk, metrics)
    for key in ("a", "b"):
        histories = [client.get_metric_history(run, key) for run in (bulk, slow)]
        found, wanted = (sorted(map(_row, history)) for history in histories)
        assert found == wanted
    assert client.get_run(bulk).data.metrics == client.get_run(slow).data.metrics


def _row(metric: Metric) -> tuple[int, int, str]:
    return metric.step, metric.timestamp, repr(metric.value)
