"""Where the MLflow store is, and how MLflow is to behave in this process."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from expt.errors import RunError
from expt.record.mlflow.moved import ARTIFACTS, relocate

LOCK = ".mlflow.lock"
"""The file in the folder of all runs that is locked while the store is opened."""

DELETED = "was deleted in MLflow"
"""In the message of an error that `expt.sync --restore` undoes."""

_DATABASE = "mlflow.db"
_KIND = "mlflow.experimentKind"
_TRAINING = "custom_model_development"  # else MLflow takes an experiment for one of GenAI
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# A call to a server that is down or hangs ends within seconds; a user's own values are kept.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would start with the import
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    _TIMEOUT: "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_SECONDS_OF_A_DATABASE = 10.0  # on a busy machine, or when another process writes
_TRIES_TO_OPEN = 3  # MLflow's 10 take 100 seconds to tell of a database that can't be opened


class DeletedError(RunError):
    """An experiment, a run or a sweep's run was deleted in MLflow, and can be restored."""

    def __init__(self, what: str) -> None:
        """Makes an error of what was deleted, such as `the run 1234`."""
        super().__init__(f"{what} {DELETED}")


def prepare_mlflow() -> None:
    """Imports MLflow, with what it reads from the environment; takes seconds."""
    for name, value in {**_ENVIRONMENT, **home()}.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = _TRIES_TO_OPEN

    # It tells of every table and file that it makes, and prints the traceback of what it also
    # raises, and urllib3 tells of every retry; failures are told by who calls it.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def home() -> Mapping[str, str]:
    """Returns a HOME for a user who has none; MLflow can't be imported without one.

    In containers a user may have a number alone. No folder stands in: what lies in a shared one
    may be anybody's.
    """
    try:
        Path.home()
    except RuntimeError:
        return {"HOME": "/nonexistent"}
    return {}


def store_uri(output_dir: Path) -> str:
    """Returns the address of the MLflow store: MLFLOW_TRACKING_URI, else the embedded one."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(database(output_dir))


def is_embedded(output_dir: Path) -> bool:
    """Whether the store is the one in the folder of all runs."""
    return store_uri(output_dir) == _sqlite_uri(database(output_dir))


def _sqlite_uri(file: Path) -> str:
    """Returns the address of a database; SQLAlchemy decodes what follows `sqlite:///`.

    MLflow makes the folder of an address as it is written, encoded, unless a driver is named.
    """
    path = str(file)
    if "?" in path or "%" in path:
        return f"sqlite+pysqlite:///{quote(path)}"
    return f"sqlite:///{path}"


def database(output_dir: Path) -> Path:
    """Returns the file of the store in the folder of all runs."""
    return output_dir.resolve() / _DATABASE


def artifacts_uri(output_dir: Path) -> str:
    """Returns where the embedded store keeps pictures and models."""
    return (output_dir / ARTIFACTS).resolve().as_uri()


def open_store(output_dir: Path) -> Any:
    """Returns a client of the store; an embedded one is made if need be.

    It is made whole or not at all: MLflow can't go on with the half of a database that a killed
    process leaves. One whose folder was moved or copied is repaired. Only one process may do this
    at a time.

    Raises:
        RunError: The store was moved and can't be repaired.
    """
    from mlflow import MlflowClient
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking._tracking_service import utils

    file = database(output_dir)
    if is_embedded(output_dir) and not file.exists():
        partial = file.with_name(f"partial-{_DATABASE}")
        for rest in file.parent.glob(f"{partial.name}*"):
            rest.unlink()
        store = SqlAlchemyStore(_sqlite_uri(partial), artifacts_uri(output_dir))
        store.engine.dispose()
        partial.replace(file)
    elif is_embedded(output_dir):
        relocate(file, artifacts_uri(output_dir))
        # MLflow remembers by a run's id where its artifacts are; a copied store has the same ids.
        getattr(utils, "_artifact_repos_cache", {}).clear()
    return MlflowClient(store_uri(output_dir))


def repair_store(output_dir: Path) -> list[str]:
    """Repairs an embedded store whose folder was moved or copied, for who opens it without us.

    Returns:
        Where it kept its artifacts before; nothing if it has not been moved.

    Raises:
        RunError: The store was moved and can't be written to.
    """
    if not is_embedded(output_dir) or not database(output_dir).exists():
        return []
    with FileLock(output_dir / LOCK, timeout=60):
        return relocate(database(output_dir), artifacts_uri(output_dir))


def find_experiment(client: Any, name: str, output_dir: Path, *, restore: bool = False) -> str:
    """Finds or creates an experiment of model training; a server keeps artifacts where it likes.

    Args:
        client: Of the store.
        name: The experiment's.
        output_dir: The folder of all runs.
        restore: Whether to restore one that was deleted, and with it all of its runs.

    Raises:
        DeletedError: It was deleted, and is not to be restored.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        place = artifacts_uri(output_dir) if is_embedded(output_dir) else None
        tags = {_KIND: _TRAINING}
        return str(client.create_experiment(name, artifact_location=place, tags=tags))
    if is_deleted(experiment):
        if not restore:
            raise DeletedError(f"the experiment {name!r}")
        client.restore_experiment(experiment.experiment_id)
    if _KIND not in experiment.tags:
        client.set_experiment_tag(experiment.experiment_id, _KIND, _TRAINING)
    return str(experiment.experiment_id)


def is_deleted(stored: Any) -> bool:
    """Whether a run or an experiment, as a store returned it, waits there to be removed."""
    return bool(getattr(stored, "info", stored).lifecycle_stage != "active")


def restore_run(client: Any, stored: Any) -> Any:
    """Restores a deleted run, and its experiment if that was deleted; returns the run."""
    info = stored.info
    if is_deleted(client.get_experiment(info.experiment_id)):
        client.restore_experiment(info.experiment_id)
    if is_deleted(client.get_run(info.run_id)):
        client.restore_run(info.run_id)
    return client.get_run(info.run_id)


def seconds_to_open(output_dir: Path) -> float:
    """Returns how long opening may take: an embedded store takes long to create."""
    if not is_embedded(output_dir):
        return 0.0
    return 5.0 if database(output_dir).exists() else 60.0


def request_seconds() -> float:
    """Returns how long a request may take; of a server, a user's own limit counts."""
    is_server = os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http")
    return float(os.environ[_TIMEOUT]) if is_server else _SECONDS_OF_A_DATABASE
