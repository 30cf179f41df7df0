"""Tests of the comparison of data with the data of a recorded run."""

from pathlib import Path
from typing import Any

import pytest

from expt.config.frozen import read_frozen, with_data
from expt.errors import UserError
from expt.parts.data.dataset import Dataset
from expt.runs.find import FoundRun
from expt.runs.record_parts import DataRecord
from expt.runs.recorded_data import check_unchanged, data_change, feature_names
from expt.train.data_loading import DataLoader
from recorded_runs import record_run

ROWS = [f"{i % 7},{i % 5},{'xy'[i % 2]},{'cat' if i % 3 else 'dog'},{i % 4}" for i in range(60)]
HEADER = "a,b,size,kind,w"
GIVEN = ("data=csv", "data.target=kind", "data.batch_size=8", "data.weight=w")


def write(file: Path, header: str = HEADER, rows: Any = ROWS) -> str:
    file.write_text("\n".join([header, *rows]) + "\n")
    return f"data.path={file}"


def load(run: FoundRun, *overrides: str) -> Dataset:
    """Loads data as a resumed run does, without using the recorded preparation."""
    job = read_frozen(run.directory, run.record.to_mapping())
    return DataLoader()(with_data(job, overrides, None))


def replaced(old: str, new: str) -> list[str]:
    return [row.replace(old, new) for row in ROWS]


@pytest.fixture(params=["now", "older"])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> FoundRun:
    path = write(tmp_path / "known.csv")
    return record_run(tmp_path, *GIVEN, path, is_older=request.param == "older")


def test_same_data_is_unchanged(run: FoundRun, tmp_path: Path) -> None:
    assert data_change(run.record.data, load(run)) is None
    moved = load(run, write(tmp_path / "moved.csv"))
    check_unchanged(run.record.data, moved, "here")


@pytest.mark.parametrize(
    ("header", "rows", "change"),
    [
        (HEADER, replaced("cat", "ant"), "its classes are ant, dog and were cat, dog"),
        (
            HEADER,
            replaced("x", "w"),
            "its features are a, b, size=w, size=y and were a, b, size=x, size=y",
        ),
        (
            "b,a,size,kind,w",
            ROWS,
            "its features are b, a, size=x, size=y and were a, b, size=x, size=y",
        ),
        (HEADER, ROWS[::-1], "its fingerprint is "),
        (HEADER, ROWS[:-1], "its fingerprint is "),
    ],
)
def test_change_is_described(
    run: FoundRun, tmp_path: Path, header: str, rows: Any, change: str
) -> None:
    dataset = load(run, write(tmp_path / "known.csv", header, rows))
    found = data_change(run.record.data, dataset)
    assert found is not None
    assert found.startswith(change)
    with pytest.raises(
        UserError, match=r"(?s)the data has changed since here began: .*--rerun here"
    ):
        check_unchanged(run.record.data, dataset, "here")


def test_other_weight_column_with_equal_values_is_described(tmp_path: Path) -> None:
    rows = [f"{row},{row[-1]}" for row in ROWS]
    path = write(tmp_path / "known.csv", f"{HEADER},v", rows)
    run = record_run(tmp_path, *GIVEN, path, "data.ignore=[v]")
    dataset = load(run, "data.weight=v", "data.ignore=[w]")
    assert data_change(run.record.data, dataset) == (
        "its other columns are kind (target), v (weight) and were kind (target), w (weight)"
    )


def test_features_of_older_tables_come_from_encoding(run: FoundRun) -> None:
    assert list(feature_names(run.record.data)) == ["a", "b", "size=x", "size=y"]
    assert feature_names(DataRecord(preparation={"kind": "array"})) == ()


def test_many_names_are_shortened(tmp_path: Path) -> None:
    header = ",".join([*(f"c{i}" for i in range(40)), "kind"])
    rows = [",".join([*(str(i * k % 7) for k in range(40)), "ab"[i % 2]]) for i in range(40)]
    given = ("data=csv", "data.target=kind", "data.batch_size=8")
    run = record_run(tmp_path, *given, write(tmp_path / "known.csv", header, rows))
    renamed = write(tmp_path / "known.csv", header.replace("c39", "z"), rows)
    change = data_change(run.record.data, load(run, renamed))
    assert change is not None
    assert "(40 in all)" in change
    assert "c20" not in change
