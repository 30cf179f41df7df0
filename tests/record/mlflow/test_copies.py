"""Copied runs, sweeps and folders are distinguished from moved ones."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from expt.record.mlflow.copies import Copies, update_sweep_place
from expt.runs.folder_identity import assign_number, current_identity
from expt.runs.records import read_run, write_run

_RUN = "runs/2026-11-27/10-00-00Z_abc"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A folder of a run and a sweep with one job."""
    outputs = tmp_path / "outputs"
    write(outputs, _RUN, "1")
    write(outputs, "sweeps/day/s", "2", "sweep.json")
    membership = {"id": "2", "name": "s", "experiment": "e", "variant": ""}
    write(outputs, "sweeps/day/s/0_x", "3", sweep=membership)
    return outputs


def write(outputs: Path, within: str, identity: str, name: str = "run.json", **fields: Any) -> None:
    directory = outputs / within
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra/config.yaml").touch()
    record = {
        "id": identity,
        "run_name": directory.name,
        "started": 100.0,
        "status": "FINISHED",
        "output_dir": str(outputs),
        "mlflow": {"run_id": identity * 32, "experiment_id": "1"},
        "place": assign_number(outputs, directory),
        **fields,
    }
    (directory / name).write_text(json.dumps(record))


def read(directory: Path, name: str = "run.json") -> dict[str, Any]:
    record: dict[str, Any] = json.loads((directory / name).read_text())
    return record


def settle(outputs: Path, within: str) -> dict[str, Any]:
    """Returns the changes of a run's record, and writes them as commands do."""
    directory = outputs / within
    record = read_run(directory)
    changes = Copies().settle(record, directory, outputs)
    write_run(directory, record.updated(changes))
    return changes


def copy(outputs: Path, within: str, to: Path) -> None:
    # `copyfile`, like most tools, does not keep the times of files.
    shutil.copytree(outputs / within, to, copy_function=shutil.copyfile)


def test_run_at_its_recorded_place_is_unchanged(outputs: Path) -> None:
    assert settle(outputs, _RUN) == {}
    assert settle(outputs, "sweeps/day/s/0_x") == {}


@pytest.mark.parametrize(
    "to", ["runs/2026-11-27/a_copy", "a_copy", "zz/10-00-00Z_abc", "runs/x/y/z"]
)
@pytest.mark.parametrize("first", ["copy", "original"])
def test_copy_in_the_same_folder_becomes_a_separate_run(to: str, first: str, outputs: Path) -> None:
    copy(outputs, _RUN, outputs / to)
    order = [to, _RUN] if first == "copy" else [_RUN, to]
    changes = {within: settle(outputs, within) for within in order}
    assert changes[_RUN] == {}
    assert changes[to]["id"] != "1"
    assert changes[to]["mlflow"] is None
    assert changes[to]["copied_from"] == {"id": "1", "directory": _RUN, "mlflow": "1" * 32}
    assert changes[to]["place"]["directory"] == to
    assert settle(outputs, to) == {}


def test_moved_run_keeps_its_id(outputs: Path) -> None:
    (outputs / _RUN).rename(outputs / "kept")
    changes = settle(outputs, "kept")
    assert set(changes) == {"place", "output_dir"}
    assert (changes["place"]["directory"], changes["place"]["number"]) == ("kept", 1)


@pytest.mark.parametrize("first", ["a_copy", "z_moved"])
def test_moved_run_keeps_its_id_beside_a_copy(first: str, outputs: Path) -> None:
    copy(outputs, _RUN, outputs / "a_copy")
    (outputs / _RUN).rename(outputs / "z_moved")
    for within in sorted(["a_copy", "z_moved"], key=lambda name: name != first):
        changes = settle(outputs, within)
        assert ("id" in changes) is (within == "a_copy")


@pytest.mark.parametrize("name", ["a_copy", "z_copy"])
def test_records_without_a_place_are_identified_by_the_directory_name(
    name: str, outputs: Path
) -> None:
    for within in (_RUN, name):
        if within == name:
            copy(outputs, _RUN, outputs / name)
        record = read(outputs / within)
        record.pop("place", None)
        (outputs / within / "run.json").write_text(json.dumps(record))
    assert "id" in settle(outputs, name)
    assert set(settle(outputs, _RUN)) == {"place", "output_dir"}
    assert read(outputs / _RUN)["place"]["number"] == 0


def test_runs_of_a_moved_folder_are_not_copies(outputs: Path, tmp_path: Path) -> None:
    moved = outputs.rename(tmp_path / "moved")
    assert settle(moved, _RUN) == {}


def test_folder_copied_with_its_store_keeps_its_runs(outputs: Path, tmp_path: Path) -> None:
    (outputs / "mlflow.db").touch()
    shutil.copytree(outputs, tmp_path / "copy")
    changes = settle(tmp_path / "copy", _RUN)
    assert set(changes) == {"place", "output_dir"}
    assert changes["place"]["number"] == 1
    assert settle(outputs, _RUN) == {}


def test_runs_of_a_copied_folder_are_copies_on_a_server(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    shutil.copytree(outputs, tmp_path / "copy")
    assert settle(tmp_path / "copy", _RUN)["copied_from"]["mlflow"] == "1" * 32
    assert settle(outputs, _RUN) == {}


def test_run_is_a_copy_if_the_other_folder_still_has_it(outputs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    copy(outputs, _RUN, other / _RUN)
    assert settle(other, _RUN)["copied_from"]["id"] == "1"
    (outputs / "sweeps/day/s/0_x").rename(other / "moved")
    assert "id" not in settle(other, "moved")
    assert read(other / "moved")["place"]["id"] == current_identity(other).id


def test_jobs_of_a_copied_sweep_belong_to_the_copy(outputs: Path) -> None:
    copy(outputs, "sweeps/day/s", outputs / "sweeps/day/again")
    copies = Copies()
    for name in ("s", "again"):
        update_sweep_place(copies, outputs / "sweeps/day" / name, outputs)
    assert read(outputs / "sweeps/day/s", "sweep.json")["id"] == "2"
    plan = read(outputs / "sweeps/day/again", "sweep.json")
    assert plan["id"] != "2"
    assert (plan["mlflow"], plan["copied_from"]["mlflow"]) == (None, "2" * 32)
    job = settle(outputs, "sweeps/day/again/0_x")
    assert job["sweep"] == {"id": plan["id"], "name": "again", "experiment": "e", "variant": ""}
    assert job["copied_from"]["id"] == "3"
    assert settle(outputs, "sweeps/day/s/0_x") == {}


def test_damaged_records_are_ignored(outputs: Path) -> None:
    for number, content in enumerate(("{", "[]", '{"id": "1", "place": 7}')):
        (outputs / f"damaged{number}").mkdir()
        (outputs / f"damaged{number}/run.json").write_text(content)
    (outputs / _RUN).rename(outputs / "kept")
    assert "id" not in settle(outputs, "kept")
