"""MLflow: the recorder, where its store is, and values that are added to a run later."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expt.errors import RunError
from expt.record.following import CopyFollower, reason
from expt.record.mlflow_store import database, is_embedded, prepare_mlflow
from expt.record.mlflow_store import store_uri as store_uri
from expt.record.process import Listener, SeparateProcess
from expt.record.run import Run


class MLflowRecorder(SeparateProcess):
    """Writes to an MLflow store: the one at MLFLOW_TRACKING_URI, or one embedded in outputs/.

    It works in a process of its own: MLflow takes seconds to import and most of a core to store
    every step's numbers.
    """

    def __init__(self) -> None:
        super().__init__(make_follower, "mlflow", _remedy, prepare)


def prepare() -> None:
    """Imports MLflow and what copies runs to its store; takes seconds."""
    prepare_mlflow()
    import expt.record.mlflow_run  # noqa: F401


def make_follower(listener: Listener) -> CopyFollower:
    """Returns a follower that copies a run to MLflow's store."""
    prepare()
    from expt.record.mlflow_run import MLflowRun

    return CopyFollower(lambda run, is_new: MLflowRun(run, is_new, listener.busy), listener)


def make_sweep_follower(listener: Listener) -> CopyFollower:
    """Returns a follower that keeps a run for a whole sweep in MLflow's store."""
    prepare()
    from expt.record.mlflow_sweep import MLflowSweep

    return CopyFollower(lambda run, _is_new: MLflowSweep(run, listener.busy), listener)


def log_evaluation(
    output_dir: Path, record: Mapping[str, Any], name: str, step: int, values: Mapping[str, float]
) -> bool:
    """Adds the metrics of a later evaluation to a run, as `evaluate/NAME/METRIC`.

    Args:
        output_dir: The folder of all runs.
        record: The content of the run's run.json.
        name: What was evaluated.
        step: The step of the evaluated model.
        values: By metric.

    Returns:
        Whether there is an MLflow run to add to.

    Raises:
        RunError: The store does not take them.
    """
    is_missing = is_embedded(output_dir) and not database(output_dir).exists()
    if not record.get("mlflow") or is_missing:
        return False
    prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(f"evaluate/{name}/{key}", v, now, step) for key, v in values.items()]
    try:
        client = MlflowClient(store_uri(output_dir))
        client.log_batch(record["mlflow"]["run_id"], metrics=metrics)
    # MLflow lets through whatever its database's driver raises.
    except Exception as error:
        raise RunError(f"mlflow: the evaluation could not be added: {reason(error)}.") from error
    return True


def _remedy(run: Run) -> str:
    directory = os.path.relpath(run.directory)
    return f"The journal has everything; `python -m expt.sync {directory}` completes it."
