"""The best model of a run in an MLflow store, made from the saved `.keras` file.

`mlflow.keras.log_model` needs the model in memory, and so TensorFlow in its process. This module
writes the same files, which `mlflow.keras.load_model` loads. In addition, it writes a pyfunc flavor
that accepts raw values and names its predictions; see `expt.serving`.
"""

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model
from mlflow.utils.environment import _PythonEnv

from expt.record.mlflow.shipped_code import shipped_code
from expt.record.mlflow.signature import is_served, make_example, make_signature
from expt.runs.record_base import plain_values
from expt.runs.records import RunRecord
from expt.serving.pyfunc import MODEL_FILE, RECORD_FILE

MODEL_TAG = "expt.model"
_NAME, _DATA, _CODE = "model", "data", "code"
_REQUIREMENTS = "requirements.txt"
_PYTHON_ENV = "python_env.yaml"
_EXAMPLE, _BODY = "input_example.json", "serving_input_example.json"
_REQUIRED = ("keras", "mlflow", "numpy", "pandas", "tensorflow")
_DATA_FIELDS = (
    *("task", "class_names", "input_shape", "feature_names", "preparation"),
    "other_columns",  # for the name of the target, which predictions have too
)
_MODULE = re.compile(r'"module": "([\w.]+)"')
_MOST_BYTES = 256 * 1024**2  # of a model's config; a small archive may unpack to any size
_SLOWEST = 4e6  # the lowest expected speed of an upload, in bytes per second


def log_model(
    client: MlflowClient,
    stored: Any,
    file: Path,
    digest: str,
    record: RunRecord,
    extend_deadline: Callable[[float], None],
) -> bool:
    """Adds the model to a run unless it is there; removes incomplete ones of previous attempts.

    Args:
        client: A client of the store.
        stored: The run, as the store returned it.
        file: The `.keras` file.
        digest: A hash of the file's content.
        record: The content of the run's run.json.
        extend_deadline: Called before each request with its maximum duration in seconds, beyond
            that of an ordinary request.

    Returns:
        Whether the model was added.
    """
    run_id, experiment_id = stored.info.run_id, stored.info.experiment_id
    extend_deadline(0)
    for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        if model.status != LoggedModelStatus.READY and MODEL_TAG in model.tags:
            client.delete_logged_model(model.model_id)
        elif model.tags.get(MODEL_TAG) == digest:
            if client.list_logged_model_artifacts(model.model_id):
                return False
            client.delete_logged_model(model.model_id)  # it is registered, but has lost its files
    signature = make_signature(record)
    created = client.create_logged_model(
        experiment_id,
        name=_NAME,
        source_run_id=run_id,
        tags={MODEL_TAG: digest},
        params=dict(stored.data.params),
    )
    step = 0 if record.best is None else record.best.step
    client.log_outputs(run_id, [LoggedModelOutput(created.model_id, step=step)])
    description = Model(
        artifact_path=created.artifact_location,
        model_uuid=created.model_id,
        run_id=run_id,
        model_id=created.model_id,
        signature=signature,
    )
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), description, file, record)
        extend_deadline(file.stat().st_size / _SLOWEST)
        client.log_model_artifacts(created.model_id, folder)
    # Last, so that a model whose upload failed is not READY and is removed by the next attempt.
    extend_deadline(0)
    client.finalize_logged_model(created.model_id, LoggedModelStatus.READY)
    return True


def _write(folder: Path, description: Model, file: Path, record: RunRecord) -> None:
    """Writes an MLflow model directory around a `.keras` file."""
    data = folder / _DATA
    data.mkdir()
    shutil.copyfile(file, data / MODEL_FILE)
    (data / "keras_module.txt").write_text("keras")
    description.add_flavor(
        "keras",
        data=_DATA,
        keras_version=version("keras"),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    modules: list[str] = []
    if is_served(record):
        modules = _modules_of(file)
        _add_served(folder, description, record, modules)
    else:
        pyfunc.add_to_model(description, loader_module="mlflow.keras", python_env=_PYTHON_ENV)
    description.model_size_bytes = file.stat().st_size
    description.save(str(folder / "MLmodel"))
    lines = [f"{name}=={version(name)}" for name in _REQUIRED]
    # Comments: pip may not know the user's modules, and would fail to install the rest.
    lines += [f"# {name}, which defines layers of the model" for name in modules]
    (folder / _REQUIREMENTS).write_text("\n".join(lines) + "\n")
    _PythonEnv.current().to_yaml(str(folder / _PYTHON_ENV))


def _modules_of(file: Path) -> list[str]:
    """Returns the user's modules that define layers of a saved model."""
    # Read from the archive, since loading the model would import TensorFlow.
    with zipfile.ZipFile(file) as archive, archive.open("config.json") as content:
        config = content.read(_MOST_BYTES).decode(errors="replace")
    modules = set(_MODULE.findall(config))
    return sorted(name for name in modules if name.split(".")[0] not in ("builtins", "keras"))


def _add_served(folder: Path, description: Model, record: RunRecord, modules: list[str]) -> None:
    """Adds the flavor that accepts raw values, with its code, its record and an input example."""
    code = shipped_code()
    code.write(folder / _CODE)
    pyfunc.add_to_model(
        description,
        loader_module=code.entry,
        data=_DATA,
        code=_CODE,
        python_env=_PYTHON_ENV,
    )
    data = record.data.to_mapping()
    kept = {
        "model_input_shape": record.model_input_shape,
        "model_outputs": plain_values(record.model_outputs),
        "data": {key: data.get(key) for key in _DATA_FIELDS},
        "modules": modules,
    }
    (folder / _DATA / RECORD_FILE).write_text(json.dumps(kept, indent=2), encoding="utf-8")
    if (example := make_example(record)) is not None:
        _write_example(folder, description, example)


def _write_example(folder: Path, description: Model, example: dict[str, Any] | list[Any]) -> None:
    """Writes an input example in MLflow's format, and as the body of a request to a server."""
    is_frame = isinstance(example, dict)
    body = {"dataframe_split" if is_frame else "inputs": example}
    (folder / _EXAMPLE).write_text(json.dumps(example), encoding="utf-8")
    (folder / _BODY).write_text(json.dumps(body, indent=2), encoding="utf-8")
    kind = {"type": "dataframe", "pandas_orient": "split"} if is_frame else {"type": "ndarray"}
    description.saved_input_example_info = {
        "artifact_path": _EXAMPLE,
        "serving_input_path": _BODY,
        **kind,
    }
