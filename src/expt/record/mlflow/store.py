"""The MLflow store: its address, its creation and repair, and MLflow's settings."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from expt.errors import RunError
from expt.record.mlflow.relocation import ARTIFACTS, relocate

LOCK = ".mlflow.lock"
"""The lock file in the folder of all runs that is held while the store is opened."""

DELETED = "was deleted in MLflow"
"""Part of the message of a `DeletedError`, by which it is recognized in another process."""

_DATABASE = "mlflow.db"
_KIND = "mlflow.experimentKind"
_TRAINING = "custom_model_development"  # without it, MLflow may show its pages for GenAI
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
# With MLflow's defaults, a call to a dead server blocks for 245 s, and one to a server that hangs
# for some 20 minutes. Values that the user has set are kept.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # telemetry starts at the import
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    _TIMEOUT: "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}

_SECONDS_OF_A_DATABASE = 10.0  # of a request on a busy machine, or while another process writes
_TRIES_TO_OPEN = 3  # MLflow's 10 attempts take 100 s until a bad database is reported


class DeletedError(RunError):
    """An experiment or a run was deleted in MLflow, and can still be restored.

    Args:
        deleted: The deleted object, such as `the run 1234`.
    """

    def __init__(self, deleted: str) -> None:
        super().__init__(f"{deleted} {DELETED}")


def prepare_mlflow() -> None:
    """Sets the environment variables that MLflow reads, and imports it, which takes seconds."""
    for name, value in {**_ENVIRONMENT, **home()}.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: F401

    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http"):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = _TRIES_TO_OPEN

    # MLflow logs every table and file that it creates, and the traceback of each exception that it
    # raises as well; urllib3 logs every retry. Callers report failures themselves.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def home() -> Mapping[str, str]:
    """Returns a value of HOME for a user without a home folder, else nothing.

    MLflow can't be imported without one, and in containers a user may have only a number. The
    value is a path that does not exist, since any user could put files into a shared folder.
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
    """Whether the store is the SQLite database in the folder of all runs."""
    return store_uri(output_dir) == _sqlite_uri(database(output_dir))


def _sqlite_uri(file: Path) -> str:
    """Returns the URI of a database, with special characters of the path encoded.

    SQLAlchemy decodes the path. MLflow creates the folder of the database from the encoded path,
    unless the URI names a driver.
    """
    path = str(file)
    if "?" in path or "%" in path:
        return f"sqlite+pysqlite:///{quote(path)}"
    return f"sqlite:///{path}"


def database(output_dir: Path) -> Path:
    """Returns the database file of the embedded store."""
    return output_dir.resolve() / _DATABASE


def artifacts_uri(output_dir: Path) -> str:
    """Returns the URI of the folder in which the embedded store keeps images and models."""
    return (output_dir / ARTIFACTS).resolve().as_uri()


def open_store(output_dir: Path) -> Any:
    """Returns a client of the store; creates or repairs an embedded store if necessary.

    The caller must hold `LOCK`, since only one process may create the database at a time. A store
    whose folder was moved or copied is repaired.

    Raises:
        RunError: The store was moved and can't be repaired.
    """
    from mlflow import MlflowClient
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking._tracking_service import utils

    file = database(output_dir)
    if is_embedded(output_dir) and not file.exists():
        # Under another name until it is complete: MLflow can't continue with the incomplete
        # database of a killed process.
        partial = file.with_name(f"partial-{_DATABASE}")
        for leftover in file.parent.glob(f"{partial.name}*"):
            leftover.unlink()
        store = SqlAlchemyStore(_sqlite_uri(partial), artifacts_uri(output_dir))
        store.engine.dispose()
        partial.replace(file)
    elif is_embedded(output_dir):
        relocate(file, artifacts_uri(output_dir))
        # MLflow caches the places of artifacts by the id of a run, and a copied store has the
        # same ids.
        getattr(utils, "_artifact_repos_cache", {}).clear()
    return MlflowClient(store_uri(output_dir))


def repair_store(output_dir: Path) -> list[str]:
    """Repairs an embedded store whose folder was moved or copied, for use without `open_store`.

    Returns:
        The previous URIs of its artifacts; empty if the store was not moved.

    Raises:
        RunError: The store was moved and can't be written to.
    """
    if not is_embedded(output_dir) or not database(output_dir).exists():
        return []
    with FileLock(output_dir / LOCK, timeout=60):
        return relocate(database(output_dir), artifacts_uri(output_dir))


def find_experiment(client: Any, name: str, output_dir: Path, *, restore: bool = False) -> str:
    """Finds or creates an experiment of model training, and returns its id.

    Args:
        client: A client of the store.
        name: The name of the experiment.
        output_dir: The folder of all runs.
        restore: Whether to restore a deleted experiment, which restores all of its runs too.

    Raises:
        DeletedError: The experiment was deleted, and `restore` is false.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        # MLflow's default is `./mlruns` of the working directory, even for an absolute database.
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
    """Whether a run or an experiment, as a store returned it, is marked there as deleted."""
    return bool(getattr(stored, "info", stored).lifecycle_stage != "active")


def restore_run(client: Any, stored: Any) -> Any:
    """Restores a deleted run, and its experiment if that was deleted; returns the run."""
    info = stored.info
    if is_deleted(client.get_experiment(info.experiment_id)):
        client.restore_experiment(info.experiment_id)
    # Restoring the experiment may have restored the run too.
    if is_deleted(client.get_run(info.run_id)):
        client.restore_run(info.run_id)
    return client.get_run(info.run_id)


def seconds_to_open(output_dir: Path) -> float:
    """Returns the maximum seconds to open the store; creating an embedded one takes long."""
    if not is_embedded(output_dir):
        return 0.0
    return 5.0 if database(output_dir).exists() else 60.0


def request_seconds() -> float:
    """Returns the maximum seconds of a request; for a server, the limit that the user may set."""
    is_server = os.environ.get("MLFLOW_TRACKING_URI", "").startswith("http")
    return float(os.environ[_TIMEOUT]) if is_server else _SECONDS_OF_A_DATABASE
