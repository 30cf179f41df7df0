import json
from pathlib import Path

import pytest

from expt.servers.store import store_folder

PLACE = {"id": "abc", "directory": "x", "number": 1}


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """A folder of all runs, with a run and a sweep of one job."""
    folder = tmp_path / "mine"
    for directory in ("runs/2026-11-27/one", "sweeps/2026-11-27/some/0_seed=0"):
        (folder / directory).mkdir(parents=True)
        record = {"status": "FINISHED", "started": 1.0, "run_name": "one", "place": PLACE}
        (folder / directory / "run.json").write_text(json.dumps(record))
    content = {"id": "abc", "path": str(folder), "number": 2, "earlier": []}
    (folder / ".place.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "within",
    [
        *(".", "runs", "runs/2026-11-27", "runs/2026-11-27/one"),
        *("sweeps", "sweeps/2026-11-27/some", "sweeps/2026-11-27/some/0_seed=0"),
    ],
)
def test_store_of_a_subfolder_is_above_it(outputs: Path, within: str) -> None:
    assert store_folder(outputs / within).resolve() == outputs.resolve()


def test_folder_with_a_store_is_returned(outputs: Path) -> None:
    sweep = outputs / "sweeps/2026-11-27/some"
    (sweep / "mlflow.db").touch()
    assert store_folder(sweep) == sweep


def test_folder_above_all_runs_is_returned(outputs: Path) -> None:
    assert store_folder(outputs.parent) == outputs.parent


def test_damaged_run_is_skipped(outputs: Path) -> None:
    (outputs / "sweeps/2026-11-27/some/0_seed=0/run.json").write_text("{")
    (outputs / "sweeps/2026-11-27/some/1_seed=1").mkdir()
    record = {"status": "FINISHED", "started": 1.0, "run_name": "two", "place": PLACE}
    (outputs / "sweeps/2026-11-27/some/1_seed=1/run.json").write_text(json.dumps(record))
    assert store_folder(outputs / "sweeps/2026-11-27/some").resolve() == outputs.resolve()
