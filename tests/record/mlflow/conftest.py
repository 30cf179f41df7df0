"""MLflow's databases are copies of the first one."""

import pytest

from mlflow_template import copy_new_databases


@pytest.fixture(scope="package", autouse=True)
def _copied_databases(tmp_path_factory: pytest.TempPathFactory) -> None:
    copy_new_databases(tmp_path_factory.mktemp("mlflow") / "template.db")
