"""An empty MLflow store, which takes seconds to make."""

from pathlib import Path

import pytest

from expt.record.mlflow_store import open_store, prepare_mlflow


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that was made in a folder of its own."""
    folder = tmp_path_factory.mktemp("store")
    prepare_mlflow()
    open_store(folder)
    return folder / "mlflow.db"
