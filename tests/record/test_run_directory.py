import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from record_helpers import make_run

from expt.errors import UserError
from expt.runs.directories import create_directory, remove_directory
from expt.runs.environment import machine, versions
from expt.runs.git import git_state


def test_no_two_allocations_share_a_directory(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        directories = list(pool.map(lambda _: create_directory(tmp_path, "abcd1234"), range(40)))
    assert len(set(directories)) == 40
    assert all(directory.is_dir() for directory in directories)


def test_allocation_below_a_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="output_dir"):
        create_directory(tmp_path / "file", "abcd1234")


def test_discard_keeps_directories_in_use(tmp_path: Path) -> None:
    root = tmp_path / "outputs"
    first, second = create_directory(root / "runs", "a"), create_directory(root / "runs", "b")
    remove_directory(first, root)
    assert second.is_dir()
    remove_directory(second, root)
    assert not root.exists()
    assert tmp_path.is_dir()


def test_run_json_is_complete_at_every_moment(tmp_path: Path) -> None:
    run, done = make_run(tmp_path), threading.Event()
    run.update()

    def write() -> None:
        for number in range(60):
            run.update(**{f"key{number}": "x" * 2_000})
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    # An incomplete file would not be valid JSON.
    while not done.is_set():
        json.loads((tmp_path / "run.json").read_text())
    thread.join()
    assert json.loads((tmp_path / "run.json").read_text())["key59"] == "x" * 2_000
    assert not list(tmp_path.glob("partial*"))


def test_environment_is_recorded(tmp_path: Path) -> None:
    assert {"python", "expt", "tensorflow", "keras", "mlflow"} <= set(versions())
    assert machine()["cpus"] >= 1
    assert git_state(tmp_path) is None
    state = git_state(Path(__file__).parent)
    assert state is None or len(state["commit"]) == 40
