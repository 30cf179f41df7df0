"""The differences between two versions that scripts/same_results reports."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.same_results import comparing
from scripts.same_results.comparing import differences
from scripts.same_results.reading import read_folder

OUTPUTS = Path(__file__).parent / "older_records/project/outputs"
RUN, GAN, SWEEP = "runs/interrupted", "runs/gan", "sweeps/interrupted"


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    """Returns the records of an older version in the form of a command's results."""
    lines = ["starting TensorFlow …", "starting TensorFlow … 2 s", "FINISHED in 3 s: loss 0.25"]
    files = {
        f"{name}/{path}": content
        for name in (RUN, GAN, SWEEP)
        for path, content in read_folder(OUTPUTS / name).items()
    }
    return {"code": 0, "out": lines, "error": [], "files": files}


@pytest.fixture
def other(recorded: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(recorded)


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return differences(old, new, interrupted=False, resumed=False)


def test_equal_records_have_no_differences(recorded: dict[str, Any], other: dict[str, Any]) -> None:
    assert compare(recorded, other) == []


def test_times_ids_and_code_hashes_are_ignored(
    recorded: dict[str, Any], other: dict[str, Any]
) -> None:
    other["out"] = ["starting TensorFlow …", "FINISHED in 1 min 4.5 s: loss 0.25"]
    record = other["files"][f"{RUN}/run.json"]
    record |= {"id": "0" * 32, "run_hash": "1" * 64, "started": 0.0, "process": None}
    other["files"][f"{RUN}/metrics.jsonl"][0]["time"] = "0.0"
    assert compare(recorded, other) == []


def _set(*keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        inner: Any = record
        for key in keys[:-2]:
            inner = inner[key]
        inner[keys[-2]] = keys[-1]

    return change


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (_set("code", 1), "code"),
        (_set("out", 2, "FINISHED in 3 s: loss 0.26"), "out"),
        (_set("error", ["a warning"]), "error"),
        (_set("files", f"{RUN}/metrics.jsonl", 3, "train/loss", "2.0"), "train/loss"),
        (_set("files", f"{RUN}/run.json", "status", "FAILED"), "status"),
        (_set("files", f"{RUN}/run.json", "best", "val/loss", 0.75000061), "val/loss"),
        (_set("files", f"{RUN}/.hydra/config.yaml", "seed", 1), "seed"),
        (_set("files", f"{RUN}/model.keras", "weights", {}), "weights"),
        (_set("files", f"{RUN}/another.txt", "x"), "another.txt"),
        (_set("files", f"{RUN}/val/events", "loss 4", "x"), "loss 4"),
        (_set("files", f"{SWEEP}/sweep.json", "varied", ["act"]), "varied"),
    ],
)
def test_other_changes_are_differences(
    recorded: dict[str, Any],
    other: dict[str, Any],
    change: Callable[[dict[str, Any]], None],
    place: str,
) -> None:
    change(other)
    found = compare(recorded, other)
    assert found
    assert all(place in line for line in found)


def test_declared_renaming_is_not_a_difference(
    recorded: dict[str, Any], other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other["files"][f"{GAN}/.hydra/config.yaml"]["model"]["_step_"] = "a.new.Name"
    monkeypatch.setattr(comparing, "RENAMED", {})
    assert len(compare(recorded, other)) == 1
    monkeypatch.setattr(comparing, "RENAMED", {"expt.train.adversarial.Adversarial": "a.new.Name"})
    assert compare(recorded, other) == []
