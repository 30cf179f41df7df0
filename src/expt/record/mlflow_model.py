"""A flavor for MLflow's `Model.log` that takes a saved `.keras` file.

MLflow's own Keras flavor wants the model in memory, and so TensorFlow in its process. What is
written here is what that flavor writes, and it is that flavor which loads it.
"""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mlflow import pyfunc
from mlflow.models import Model
from mlflow.utils.environment import _PythonEnv

_REQUIREMENTS = "requirements.txt"
_PYTHON_ENV = "python_env.yaml"


def save_model(
    path: str, mlflow_model: Model, *, keras_file: Path, signature: Any, **_unused: Any
) -> None:
    """Writes an MLflow model directory around a `.keras` file.

    Args:
        path: The directory to make.
        mlflow_model: The description to complete and to write as `MLmodel`.
        keras_file: The saved model.
        signature: The model's signature.
    """
    folder = Path(path)
    (folder / "data").mkdir(parents=True)
    shutil.copyfile(keras_file, folder / "data" / "model.keras")
    (folder / "data" / "keras_module.txt").write_text("keras")
    mlflow_model.signature = signature
    mlflow_model.add_flavor(
        "keras",
        data="data",
        keras_version=version("keras"),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    pyfunc.add_to_model(mlflow_model, loader_module="mlflow.keras", python_env=_PYTHON_ENV)
    mlflow_model.model_size_bytes = keras_file.stat().st_size
    mlflow_model.save(str(folder / "MLmodel"))
    pins = (f"{name}=={version(name)}" for name in ("keras", "mlflow", "tensorflow"))
    (folder / _REQUIREMENTS).write_text("\n".join(pins) + "\n")
    _PythonEnv.current().to_yaml(str(folder / _PYTHON_ENV))
