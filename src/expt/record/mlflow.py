"""MLflow: the recorder, where its store is, and values that are added to a run later."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from expt.errors import RunError
from expt.record.following import CopyFollower, reason
from expt.record.process import Listener, SeparateProcess
from expt.record.run import Run

DATABASE = "mlflow.db"
# A call to a server that is down or hangs ends within seconds; a user's own values are kept.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would start with the import
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MLflowRecorder(SeparateProcess):
    """Writes to an MLflow store: the one at MLFLOW_TRACKING_URI, or one embedded in outputs/.

    It works in a process of its own: MLflow takes seconds to import and most of a core to store
    every step's numbers.
    """

    def __init__(self) -> None:
        super().__init__(make_follower, "mlflow", _remedy)


def make_follower(listener: Listener) -> CopyFollower:
    """Imports MLflow and returns a follower that copies runs to its store."""
    prepare_mlflow()
    import mlflow.models  # noqa: F401  before the first run begins

    from expt.record.mlflow_run import MLflowRun

    return CopyFollower(lambda run, is_new: MLflowRun(run, is_new, listener.busy), listener)


def prepare_mlflow() -> None:
    """Sets what MLflow reads from the environment; call it before MLflow is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # It tells of every database table and every model file that it makes, urllib3 of every retry.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def store_uri(output_dir: Path) -> str:
    """Returns the address of the MLflow store: MLFLOW_TRACKING_URI, else the embedded one."""
    return os.environ.get("MLFLOW_TRACKING_URI") or embedded_uri(output_dir)


def embedded_uri(output_dir: Path) -> str:
    """Returns the address of the store embedded in the folder of all runs."""
    return f"sqlite:///{output_dir.resolve() / DATABASE}"


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
    if "mlflow" not in record:
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
