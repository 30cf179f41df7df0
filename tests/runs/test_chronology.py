"""Tests of the order of starts, which is independent of clocks, time zones and folder names."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expt.errors import UserError
from expt.runs.chronology import PLACE_FILE, sort_by_start, sweeps_by_age
from expt.runs.find import find_run, load_run, newest_run

HERE = "the place"


def write(
    outputs: Path, name: str, number: int | None = None, *, started: float = 1.0, **fields: Any
) -> Path:
    place = None if number is None else {"id": HERE, "directory": name, "number": number}
    (outputs / name).mkdir(parents=True)
    record = {"status": "FINISHED", "started": started, "place": place, **fields}
    (outputs / name / "run.json").write_text(json.dumps(record))
    return outputs / name


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    (tmp_path / PLACE_FILE).write_text(json.dumps({"id": HERE, "earlier": [], "number": 9}))
    return tmp_path


def latest(outputs: Path) -> str:
    return find_run("latest", outputs).directory.relative_to(outputs).as_posix()


def test_latest_has_largest_number_even_if_clock_was_set_back(
    outputs: Path,
) -> None:
    write(outputs, "runs/2026-11-27/09-00-00_tokyo", 1, started=2_000.0)
    write(outputs, "runs/2026-11-26/19-00-00_new-york", 2, started=1_000.0)
    assert latest(outputs) == "runs/2026-11-26/19-00-00_new-york"


def test_latest_is_found_at_any_depth(outputs: Path) -> None:
    write(outputs, "runs/2026-11-27/09-00-00_a", 1, started=5.0)
    write(outputs, "sweeps/2026-11-27/09-00-00_b/0_x", 3, started=4.0)
    assert latest(outputs) == "sweeps/2026-11-27/09-00-00_b/0_x"
    write(outputs, "mine", 4, started=3.0)
    assert latest(outputs) == "mine"


def test_records_without_number_are_sorted_by_start_before_numbered_ones(
    outputs: Path,
) -> None:
    write(outputs, "runs/2026-11-28/a", started=50.0)
    write(outputs, "runs/2026-11-27/b", started=60.0)
    assert latest(outputs) == "runs/2026-11-27/b"
    write(outputs, "runs/2026-11-26/c", 1, started=40.0)
    assert latest(outputs) == "runs/2026-11-26/c"


def test_run_copied_from_other_folder_is_not_latest(outputs: Path) -> None:
    write(outputs, "runs/2026-11-27/a", 1, started=5.0)
    foreign = {"id": "another", "directory": "runs/2026-11-27/b", "number": 500}
    write(outputs, "runs/2026-11-27/b", started=9.0, place=foreign)
    assert latest(outputs) == "runs/2026-11-27/a"


def test_latest_is_original_and_not_its_copy(outputs: Path) -> None:
    write(outputs, "runs/day/run", 1, run_name="run")
    record = (outputs / "runs/day/run/run.json").read_bytes()
    for name in ("a_copy", "z_copy", "mine/run"):
        (outputs / name).mkdir(parents=True)
        (outputs / name / "run.json").write_bytes(record)
    assert latest(outputs) == "runs/day/run"


def test_mlflow_id_finds_original_and_not_its_copy(outputs: Path) -> None:
    mlflow = {"run_id": "f" * 32}
    write(outputs, "runs/day/run", 1, mlflow=mlflow)
    (outputs / "a_copy").mkdir()
    record = (outputs / "runs/day/run/run.json").read_bytes()
    (outputs / "a_copy/run.json").write_bytes(record)
    assert find_run("f" * 32, outputs).directory == outputs / "runs/day/run"


def test_numbers_decide_if_folder_has_no_identity_file(outputs: Path) -> None:
    (outputs / PLACE_FILE).unlink()
    write(outputs, "runs/b", 1, started=9.0)
    write(outputs, "runs/a", 2, started=5.0)
    assert latest(outputs) == "runs/a"


def test_damaged_record_that_may_be_newer_is_user_error(outputs: Path) -> None:
    write(outputs, "runs/a", 1, started=1_000.0)
    damaged = write(outputs, "runs/b", 2) / "run.json"
    damaged.write_text("{")
    os.utime(damaged, (500.0, 500.0))
    assert latest(outputs) == "runs/a"
    os.utime(damaged, (2_000.0, 2_000.0))
    with pytest.raises(UserError, match=r"b/run\.json can't be read, and may be the latest"):
        newest_run(outputs)


@pytest.mark.parametrize(
    "place", [7, {}, {"id": "a"}, {"id": "a", "directory": "b", "number": -1}, {"number": True}]
)
def test_damaged_place_is_user_error(place: Any, tmp_path: Path) -> None:
    directory = write(tmp_path, "runs/day/a", place=place)
    with pytest.raises(UserError, match=r"run\.json is damaged: 'place"):
        load_run(directory, tmp_path)


def test_folder_of_run_is_found_by_its_id(outputs: Path) -> None:
    inner = outputs / "runs/with/inner"
    inner.mkdir(parents=True)
    (inner / PLACE_FILE).write_text(json.dumps({"id": "inner", "earlier": []}))
    run = write(outputs, "runs/with/inner/mine/a", 1)
    assert load_run(run, Path("nowhere")).output_dir == outputs  # started before inner/ existed
    other = write(outputs, "runs/with/inner/mine/b")
    assert load_run(other, Path("nowhere")).output_dir == inner


def test_sweeps_are_sorted_like_runs_or_by_their_runs(outputs: Path) -> None:
    write(outputs, "sweeps/2026-11-29/early/0_x", started=50.0)
    for name, number, started in (("sweeps/2026-11-28/a", 1, 9.0), ("elsewhere/b", 2, 8.0)):
        write(outputs, f"{name}/0_x", number)
        place = {"id": HERE, "directory": name, "number": number}
        content = {"started": started, "place": place}
        (outputs / name / "sweep.json").write_text(json.dumps(content))
    found = [folder.name for folder in sweeps_by_age(outputs)]
    assert found == ["early", "a", "b"]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", None])), max_size=12))
def test_runs_of_several_folders_keep_the_order_within_each(
    drawn: list[tuple[int, str | None]],
) -> None:
    items = [(float(started), place, number) for number, (started, place) in enumerate(drawn)]
    ordered = sort_by_start(items, lambda item: item)
    assert sorted(map(str, ordered)) == sorted(map(str, items))
    for place in ("a", "b"):
        numbers = [number for _, one, number in ordered if one == place]
        assert numbers == sorted(numbers)
    starts = [started for started, place, _ in ordered if place is None]
    assert starts == sorted(starts)
