"""A template of MLflow's database, since creating one takes seconds."""

import pytest

from mlflow_template import copy_new_databases


@pytest.fixture(scope="package", autouse=True)
def _copied_databases(tmp_path_factory: pytest.TempPathFactory) -> None:
    copy_new_databases(tmp_path_factory.mktemp("mlflow") / "template.db")
