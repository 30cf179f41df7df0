import json
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.runs.find import find_run
from expt.runs.names import all_named, name_of
from expt.runs.records import RunRecord, SweepRecord


def write_run(directory: Path, **fields: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    record = {"status": "FINISHED", "started": 1.0, "directory_name": directory.name, **fields}
    (directory / "run.json").write_text(json.dumps(record))
    return directory


def test_run_is_found_by_name(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/day/08_a", run_name="cnn-s0")
    directory = write_run(tmp_path / "sweeps/day/09_b/0_x", run_name="cnn-s1")
    assert find_run("cnn-s1", tmp_path).directory == directory


def test_run_is_found_by_name_of_directory(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "runs/day/08_a", run_name="cnn-s0")
    older = write_run(tmp_path / "runs/day/07_a")
    assert find_run("08_a", tmp_path).directory == directory
    assert find_run("07_a", tmp_path).directory == older


def test_recorded_name_wins_over_directory_name(tmp_path: Path) -> None:
    named = write_run(tmp_path / "runs/day/08_a", run_name="cnn")
    write_run(tmp_path / "runs/day/cnn", run_name="mlp")
    assert find_run("cnn", tmp_path).directory == named


def test_ambiguous_name_is_user_error(tmp_path: Path) -> None:
    for number in range(7):
        write_run(tmp_path / f"runs/day/{number}", run_name="cnn", name=f"experiment {number}")
    with pytest.raises(UserError, match=r"^cnn: this name is ambiguous, 7 .* have it: ") as raised:
        find_run("cnn", tmp_path)
    assert str(raised.value).count("runs/day/") == 5
    assert "runs/day/4 and 2 more. Expected one of these directories" in str(raised.value)


def test_name_finds_original_and_not_its_copy(tmp_path: Path) -> None:
    original = write_run(tmp_path / "runs/day/08_a", run_name="cnn")
    write_run(tmp_path / "runs/day/copy", run_name="cnn", directory_name="08_a")
    assert find_run("cnn", tmp_path).directory == original


@pytest.mark.parametrize(
    ("typed", "meant"), [("cnn-s00", "cnn-s0"), ("CNN-S0", "cnn-s0"), ("lastest", "latest")]
)
def test_nearest_name_is_suggested(typed: str, meant: str, tmp_path: Path) -> None:
    write_run(tmp_path / "runs/day/08_a", run_name="cnn-s0")
    with pytest.raises(UserError, match=f"Did you mean '{meant}'"):
        find_run(typed, tmp_path)


def test_damaged_records_have_no_names(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/day/a", run_name="cnn")
    for name, content in (("b", "{"), ("c", "[]")):
        (write_run(tmp_path / "runs/day" / name) / "run.json").write_text(content)
    write_run(tmp_path / "runs/day/d", run_name=7)
    write_run(tmp_path / "runs/day/e")
    assert {one.name for one in all_named(tmp_path)} == {"cnn", "e"}


def test_name_of_sweep() -> None:
    assert name_of(RunRecord(run_name="a"), Path("c")) == "a"
    assert name_of(SweepRecord(sweep_name="b"), Path("c")) == "b"
    assert name_of(RunRecord(run_name=""), Path("c")) == "c"
    assert name_of(SweepRecord(), Path("c")) == "c"
