"""The embedded store, in folders with special names and after moves and copies."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from expt.errors import RunError
from expt.record.mlflow.relocation import relocate
from expt.record.mlflow.store import (
    artifacts_uri,
    find_experiment,
    home,
    is_embedded,
    open_store,
    prepare_mlflow,
    repair_store,
    store_uri,
)
from expt.servers.programs import make_mlflow

# Characters that have a meaning in URIs.
NAMES = ["two words#&=größe'", "a?b", "a%20b", "x?uri=true&y"]


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store, which tests copy since creating one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    prepare_mlflow()
    open_store(folder)
    return folder / "mlflow.db"


@pytest.fixture
def outputs(tmp_path: Path, empty_store: Path) -> Path:
    """A folder of runs with a store that has a run with an artifact and a model."""
    return make_store(tmp_path / "outputs", empty_store)


def make_store(folder: Path, empty_store: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copyfile(empty_store, folder / "mlflow.db")
    add_run(folder)
    return folder


def add_run(folder: Path, experiment: str = "study") -> Any:
    client = open_store(folder)
    run = client.create_run(find_experiment(client, experiment, folder))
    client.log_text(run.info.run_id, "text", "images/a.txt")
    model = client.create_logged_model(run.info.experiment_id, source_run_id=run.info.run_id)
    client.log_model_artifacts(model.model_id, str(folder / "mlartifacts" / run.info.run_id))
    return run.info


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def addresses(database: Path) -> set[str]:
    """Returns all URIs of files in any table of a store."""
    found = set()
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608
                found |= {value for value in row if str(value).startswith("file:")}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_store_writes_only_into_its_folder(name: str, tmp_path: Path, empty_store: Path) -> None:
    folder = make_store(tmp_path / name / "outputs", empty_store)
    assert is_embedded(folder)
    (run,) = open_store(folder).search_runs(["1"])
    artifacts = open_store(folder).list_artifacts(run.info.run_id, "images")
    assert [file.path for file in artifacts] == ["images/a.txt"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.name for path in (tmp_path / name).iterdir()] == ["outputs"]
    environment = make_mlflow(folder, "127.0.0.1", 5000).environment
    assert environment["MLFLOW_BACKEND_STORE_URI"] == store_uri(folder)


def test_store_is_created_in_any_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a?b%20c"
    folder.mkdir()
    prepare_mlflow()
    open_store(folder)
    assert files(tmp_path) == ["a?b%20c/mlflow.db"]
    assert addresses(folder / "mlflow.db") == {f"{artifacts_uri(folder)}/0"}


def test_moved_store_has_its_artifacts_beside_it(outputs: Path, tmp_path: Path) -> None:
    before = files(outputs)
    moved = tmp_path / "else where?" / "results"
    moved.parent.mkdir()
    outputs.rename(moved)
    run = add_run(moved)
    assert not outputs.exists()
    assert len(files(moved)) == len(before) + 2  # a text and a model
    assert all(
        address.startswith(artifacts_uri(moved)) for address in addresses(moved / "mlflow.db")
    )
    client = open_store(moved)
    for stored in client.search_runs([run.experiment_id]):
        assert client.list_artifacts(stored.info.run_id, "images")
    for model in client.search_logged_models([run.experiment_id]):
        assert client.list_logged_model_artifacts(model.model_id)


def test_copied_store_does_not_change_the_original(outputs: Path, tmp_path: Path) -> None:
    before = {name: (outputs / name).read_bytes() for name in files(outputs)}
    copy = Path(shutil.copytree(outputs, tmp_path / "copy"))
    run = add_run(copy)
    assert {name: (outputs / name).read_bytes() for name in files(outputs)} == before
    assert run.artifact_uri.startswith(artifacts_uri(copy))
    assert run.run_id not in {r.info.run_id for r in open_store(outputs).search_runs(["1"])}


def test_store_with_artifacts_in_two_folders_is_repaired(outputs: Path, tmp_path: Path) -> None:
    """The store was used after a move by a version of expt without relocation, and by a server.

    Its experiments point to two folders, and those that the server created end with their ids.
    """
    moved = outputs.rename(tmp_path / "moved")
    with closing(sqlite3.connect(moved / "mlflow.db")) as connection, connection:
        for number, location in enumerate((artifacts_uri(moved), f"{artifacts_uri(outputs)}/7"), 6):
            connection.execute(
                "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
                "VALUES (?, ?, ?, 'active')",
                (number, f"n{number}", location),
            )
    again = moved.rename(tmp_path / "again")
    assert repair_store(again) == sorted([artifacts_uri(outputs), artifacts_uri(moved)])
    assert repair_store(again) == []
    root = artifacts_uri(again)
    assert {root, f"{root}/0", f"{root}/7"} <= addresses(again / "mlflow.db")
    assert all(
        address.startswith(f"{root}/") or address == root
        for address in addresses(again / "mlflow.db")
    )


def test_artifact_locations_of_a_user_are_kept(outputs: Path) -> None:
    client = open_store(outputs)
    client.create_experiment("mine", artifact_location="s3://bucket/mlartifacts")
    client.create_experiment("other", artifact_location=(outputs / "plots").as_uri())
    moved = outputs.rename(outputs.with_name("moved"))
    repair_store(moved)
    kept = {e.artifact_location for e in open_store(moved).search_experiments()}
    assert {"s3://bucket/mlartifacts", (outputs / "plots").as_uri()} <= kept


def test_file_that_is_not_a_database_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database, but a text that is long enough" * 99)
    assert relocate(tmp_path / "mlflow.db", "file:///here/mlartifacts") == []
    (tmp_path / "empty.db").touch()
    assert relocate(tmp_path / "empty.db", "file:///here/mlartifacts") == []


def test_moved_store_that_is_read_only_raises(
    outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (outputs / "mlflow.db").read_bytes()
    real = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda file, **_: real(f"{Path(file).as_uri()}?mode=ro", uri=True)
    )
    with pytest.raises(RunError, match=r"moved or copied here from .*readonly.* writable"):
        relocate(outputs / "mlflow.db", "file:///here/mlartifacts")
    assert (outputs / "mlflow.db").read_bytes() == before


def test_user_without_a_home_can_open_a_store(tmp_path: Path, empty_store: Path) -> None:
    """In a container, a user may have a number that is not in the password database."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    code = (
        "import pwd, sys; from pathlib import Path; import expt.record.mlflow.store as store\n"
        "def unknown(number): raise KeyError(number)\n"
        "pwd.getpwuid = unknown; store.prepare_mlflow()\n"
        "print(len(store.open_store(Path(sys.argv[1])).search_experiments()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={name: value for name, value in os.environ.items() if name != "HOME"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


def test_existing_home_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert home() == {}
