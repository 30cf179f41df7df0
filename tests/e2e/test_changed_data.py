"""Runs whose data changes after training: no score includes training examples; none is resumed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import Command
from expt.parts.data.dataset import Dataset
from expt.parts.data.example_hashes import FILE_NAME

RANDOM = np.random.default_rng(0)
# Random labels: a model can only predict those of examples that it was trained on.
LABELS = np.where(RANDOM.integers(0, 2, 360), "cat", "dog")
ROWS = [
    ",".join([*map(repr, row), str(label)])
    for row, label in zip(RANDOM.standard_normal((360, 6)).tolist(), LABELS, strict=True)
]
KNOWN, NEW = ROWS[:300], ROWS[300:]
GIVEN = ("data=csv", "data.path=noise.csv", "data.target=label", "recorder=[]")
QUICK = ("loop.image_every=null", "loop.epochs=100", "loop.eval_every=100ep")


def write(folder: Path, rows: Any, header: str = "a,b,c,d,e,f,label") -> None:
    (folder / "noise.csv").write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, run_here: Command) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    write(folder, KNOWN)
    done = run_here(*GIVEN, *QUICK, "model.units=[128,128]", folder=folder)
    assert (done.code, done.error) == (0, "")
    return folder


def directory_of(folder: Path) -> Path:
    (file,) = folder.glob("outputs/runs/*/*/run.json")
    return file.parent


def evaluate(folder: Path, run_here: Command, *arguments: str) -> dict[str, Any]:
    done = run_here("latest", *arguments, folder=folder, command="evaluate")
    assert (done.code, done.error) == (0, "")
    files = (directory_of(folder) / "evaluations").glob("*.json")
    content: dict[str, Any] = json.loads(max(files, key=lambda f: f.stat().st_mtime_ns).read_text())
    assert all(note in done.out for note in content["notes"])
    return content


def test_order_of_rows_does_not_improve_scores(folder: Path, run_here: Command) -> None:
    write(folder, KNOWN)
    assert evaluate(folder, run_here, "split=train")["metrics"]["accuracy"] > 0.95
    expected = evaluate(folder, run_here)
    assert expected["metrics"]["accuracy"] < 0.65  # chance is 0.5, for 45 examples
    write(folder, sorted(KNOWN))
    found = evaluate(folder, run_here)
    assert found["metrics"] == pytest.approx(expected["metrics"], rel=1e-4)
    assert (found["examples"], found["left_out"]) == (45, {"train": 210, "val": 45})


def test_appended_rows_are_scored_separately_from_the_test_split(
    folder: Path, run_here: Command
) -> None:
    write(folder, [*NEW, *KNOWN])
    found = evaluate(folder, run_here)
    assert found["examples"] == 45 + 60
    assert found["metrics"]["accuracy"] < 0.65
    assert evaluate(folder, run_here, "split=test")["metrics"]["accuracy"] < 0.75


def test_single_row_is_scored(folder: Path, run_here: Command) -> None:
    write(folder, NEW[:1])
    assert evaluate(folder, run_here)["examples"] == 1


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (
            [row.replace("cat", "ant").replace("dog", "bee") for row in KNOWN],
            "a,b,c,d,e,f,label",
            "its classes are ant, bee and were cat, dog",
        ),
        (KNOWN, "b,a,c,d,e,f,label", "its features are b, a, c, d, e, f and were a, b, c"),
        (KNOWN[::-1], "a,b,c,d,e,f,label", "its fingerprint is"),
    ],
)
def test_run_is_not_resumed_with_other_data(
    folder: Path, run_here: Command, rows: Any, header: str, message: str
) -> None:
    write(folder, rows, header)
    done = run_here("latest", "loop.epochs=101", folder=folder, command="resume")
    assert done.code == 2
    assert "the data has changed since" in done.error
    assert message in done.error


def test_run_of_an_older_version_is_resumed(
    tmp_path: Path, run_here: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has fingerprints of contents only, also in its checkpoints, and no hashes of examples."""
    write(tmp_path, KNOWN)
    with monkeypatch.context() as before:
        before.setattr(Dataset, "fingerprint", Dataset.content_fingerprint)
        assert run_here(*GIVEN, *QUICK, "loop.epochs=2", folder=tmp_path).code == 0
    directory = directory_of(tmp_path)
    record = json.loads((directory / "run.json").read_text())
    for key in ("example_hashes", "other_columns", "feature_names"):
        del record["data"][key]
    (directory / "run.json").write_text(json.dumps(record))
    (directory / FILE_NAME).unlink()
    assert evaluate(tmp_path, run_here)["split"] == "test"
    write(tmp_path, KNOWN[::-1])
    found = evaluate(tmp_path, run_here)
    assert (found["split"], found["examples"]) == ("all", 300)
    assert "It is unknown whether the run was trained on some of them" in found["notes"][0]

    write(tmp_path, KNOWN)
    done = run_here("latest", "loop.epochs=3", folder=tmp_path, command="resume")
    assert (done.code, done.error) == (0, "")
    write(tmp_path, KNOWN[::-1])
    assert evaluate(tmp_path, run_here)["examples"] == 45
