"""The best model of a run in an MLflow store, made of the saved `.keras` file.

MLflow's own Keras flavor wants the model in memory, and so TensorFlow in its process. What is
written here is what that flavor writes, and it is that flavor which loads it.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from mlflow.utils.environment import _PythonEnv

MODEL_TAG = "expt.model"
_NAME = "model"
_REQUIREMENTS = "requirements.txt"
_PYTHON_ENV = "python_env.yaml"
_SLOWEST = 4e6  # bytes a second that a store takes at least


def log_model(
    client: MlflowClient,
    stored: Any,
    file: Path,
    digest: str,
    record: Mapping[str, Any],
    busy: Callable[[float], None],
) -> bool:
    """Adds the model to a run, unless it is there; what an earlier try left half is removed.

    Args:
        client: Of the store.
        stored: The run, as the store returns it.
        file: The `.keras` file.
        digest: Of the file's content.
        record: The content of the run's run.json.
        busy: Told how many seconds more than a request the upload may take.

    Returns:
        Whether it was added.
    """
    run_id, experiment_id = stored.info.run_id, stored.info.experiment_id
    busy(0)
    for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        if model.status != LoggedModelStatus.READY and MODEL_TAG in model.tags:
            client.delete_logged_model(model.model_id)
        elif model.tags.get(MODEL_TAG) == digest:
            return False
    created = client.create_logged_model(
        experiment_id,
        name=_NAME,
        source_run_id=run_id,
        tags={MODEL_TAG: digest},
        params=dict(stored.data.params),
    )
    step = (record.get("best") or {}).get("step", 0)
    client.log_outputs(run_id, [LoggedModelOutput(created.model_id, step=step)])
    description = Model(
        artifact_path=created.artifact_location,
        model_uuid=created.model_id,
        run_id=run_id,
        model_id=created.model_id,
        signature=_signature(record),
    )
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), description, file)
        busy(file.stat().st_size / _SLOWEST)
        client.log_model_artifacts(created.model_id, folder)
    busy(0)
    client.finalize_logged_model(created.model_id, LoggedModelStatus.READY)
    return True


def _signature(record: Mapping[str, Any]) -> ModelSignature:
    """What the model takes and gives; runs of earlier versions know the inputs' shape alone."""
    inputs, outputs = (
        None
        if (shape := record.get(f"model_{end}_shape")) is None
        else Schema([TensorSpec(_dtype(record.get(f"model_{end}_dtype")), (-1, *shape))])
        for end in ("input", "output")
    )
    return ModelSignature(inputs=inputs, outputs=outputs)


def _dtype(recorded: str | None) -> np.dtype[Any]:
    """Returns float64 for values that float32 would round; else float32, which all models take."""
    return np.dtype(np.float64 if recorded == "float64" else np.float32)


def _write(folder: Path, description: Model, file: Path) -> None:
    """Writes an MLflow model directory around a `.keras` file."""
    (folder / "data").mkdir()
    shutil.copyfile(file, folder / "data" / "model.keras")
    (folder / "data" / "keras_module.txt").write_text("keras")
    description.add_flavor(
        "keras",
        data="data",
        keras_version=version("keras"),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    pyfunc.add_to_model(description, loader_module="mlflow.keras", python_env=_PYTHON_ENV)
    description.model_size_bytes = file.stat().st_size
    description.save(str(folder / "MLmodel"))
    pins = (f"{name}=={version(name)}" for name in ("keras", "mlflow", "tensorflow"))
    (folder / _REQUIREMENTS).write_text("\n".join(pins) + "\n")
    _PythonEnv.current().to_yaml(str(folder / _PYTHON_ENV))
