"""MLflow: runs, metrics in batches, images, and the best model."""

import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from expt.record.layers import LAYERS_FILE, read_layers
from expt.record.process import SeparateProcess
from expt.record.recorder import BestModel, Image, Record, Scalars
from expt.record.run import Run, Status

_METRICS_A_REQUEST = 1_000
_PARAMS_A_REQUEST = 100
_PARAM_LENGTH = 6_000
_SECONDS_BETWEEN_REQUESTS = 2.0
_DATABASE, _ARTIFACTS = "mlflow.db", "mlartifacts"


def store_uri(output_dir: Path) -> str:
    """Returns the address of the MLflow store: MLFLOW_TRACKING_URI, else the embedded one."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri(output_dir)


def _embedded_uri(output_dir: Path) -> str:
    return f"sqlite:///{output_dir.resolve() / _DATABASE}"


class MLflowRecorder(SeparateProcess):
    """Writes to an MLflow store: the one at MLFLOW_TRACKING_URI, or one embedded in outputs/.

    It works in a process of its own: MLflow takes seconds to import and most of a core to store
    every step's numbers.
    """

    def __init__(self) -> None:
        super().__init__(MLflowStore)


class MLflowStore:
    """The sink behind `MLflowRecorder`; making one imports MLflow."""

    _client: Any
    _run_id: str
    _uri: str
    _metrics: list[Any]
    _last_request: float

    def __init__(self) -> None:
        # Telemetry would start with the import.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow.models  # noqa: F401

        # It tells of every database table and every model file that it makes.
        logging.getLogger("mlflow").setLevel(logging.WARNING)

    def open(self, run: Run) -> None:
        """Creates the store, the experiment and the run, and writes what is known of it."""
        from mlflow import MlflowClient
        from mlflow.entities import Param, RunTag

        self._metrics, self._last_request = [], time.monotonic()
        self._uri = store_uri(run.output_dir)
        # Creating a database or an experiment is a race between processes.
        with FileLock(run.output_dir / ".mlflow.lock"):
            self._client = MlflowClient(self._uri)
            experiment_id = self._experiment(run)
        tags = _tags(run)
        created = self._client.create_run(
            experiment_id,
            run_name=run.record["run_name"],
            start_time=int(run.record["started"] * 1000),
            tags={"mlflow.source.name": "expt.run", "mlflow.source.type": "LOCAL"},
        )
        self._run_id = created.info.run_id
        run.update(mlflow={"run_id": self._run_id, "experiment_id": experiment_id})
        params = [Param(key, str(value)[:_PARAM_LENGTH]) for key, value in run.params.items()]
        for start in range(0, len(params), _PARAMS_A_REQUEST):
            self._client.log_batch(self._run_id, params=params[start : start + _PARAMS_A_REQUEST])
        self._client.log_batch(
            self._run_id, tags=[RunTag(key, value) for key, value in tags.items()]
        )
        self._client.log_text(
            self._run_id, yaml.safe_dump(dict(run.config), sort_keys=False), "config.yaml"
        )
        self._client.log_text(self._run_id, read_layers(run.directory), LAYERS_FILE)
        self._log_dataset(run.record["data"])

    def write(self, record: Record) -> None:
        """Buffers scalars; writes images and the model."""
        if isinstance(record, Scalars):
            self._buffer(record)
        elif isinstance(record, Image):
            self._client.log_image(self._run_id, record.pixels(), key=record.name, step=record.step)
        else:
            self._log_model(record)

    def close(self, status: Status) -> None:
        """Writes what is buffered and ends the run with its status."""
        self._send()
        self._client.set_terminated(self._run_id, status=str(status))

    def _experiment(self, run: Run) -> str:
        """Finds or creates the experiment; a server keeps artifacts where it likes."""
        name = run.config["name"]
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        embedded = self._uri == _embedded_uri(run.output_dir)
        location = (run.output_dir / _ARTIFACTS).resolve().as_uri() if embedded else None
        return str(self._client.create_experiment(name, artifact_location=location))

    def _buffer(self, scalars: Scalars) -> None:
        from mlflow.entities import Metric

        stamps = (scalars.times * 1000).astype(int).tolist()
        steps = scalars.steps.tolist()
        for name, column in scalars.values.items():
            self._metrics += map(Metric, [name] * len(steps), column.tolist(), stamps, steps)
        waited = time.monotonic() - self._last_request
        if len(self._metrics) >= _METRICS_A_REQUEST or waited > _SECONDS_BETWEEN_REQUESTS:
            self._send()

    def _send(self) -> None:
        for start in range(0, len(self._metrics), _METRICS_A_REQUEST):
            self._client.log_batch(
                self._run_id, metrics=self._metrics[start : start + _METRICS_A_REQUEST]
            )
        self._metrics.clear()
        self._last_request = time.monotonic()

    def _log_dataset(self, data: Mapping[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=data["name"],
            digest=data["fingerprint"],
            source_type="code",
            source=yaml.safe_dump({"expt": data["name"]}),
            profile=yaml.safe_dump(dict(data["examples"])),
        )
        self._client.log_inputs(
            self._run_id,
            datasets=[DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])],
        )

    def _log_model(self, best: BestModel) -> None:
        import mlflow

        from expt.record import mlflow_model

        mlflow.set_tracking_uri(self._uri)
        with mlflow.start_run(run_id=self._run_id, log_system_metrics=False):
            mlflow.models.Model.log(
                artifact_path=None,
                name="model",
                flavor=mlflow_model,
                keras_file=best.path,
                signature=mlflow.models.infer_signature(best.inputs, best.outputs),
            )


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
    """
    if "mlflow" not in record:
        return False
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(f"evaluate/{name}/{key}", v, now, step) for key, v in values.items()]
    client = MlflowClient(store_uri(output_dir))
    client.log_batch(record["mlflow"]["run_id"], metrics=metrics)
    return True


def _tags(run: Run) -> dict[str, str]:
    record = run.record
    git = record["git"] or {}
    tags = {
        "run_directory": str(run.directory),
        "run_hash": record["run_hash"],
        "variant_hash": record["variant_hash"],
        "task": record["data"]["task"],
        "parameters": record["parameters"],
        "mlflow.source.git.commit": git.get("commit"),
        "git.dirty": git.get("dirty"),
        **{f"version.{name}": version for name, version in record["versions"].items()},
    }
    return {key: str(value) for key, value in tags.items() if value is not None}
