import json
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.runs.sweeps import find_sweep, newest_sweep, runs_of, sweep_name


def write_run(directory: Path, started: float = 1.0) -> Path:
    directory.mkdir(parents=True)
    record = {"status": "FINISHED", "started": started}
    (directory / "run.json").write_text(json.dumps(record))
    return directory


def write_sweep(directory: Path, *jobs: dict[str, Any], **fields: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    complete = [{"directory": str(n), "status": "PENDING", **job} for n, job in enumerate(jobs)]
    content = {"status": "FINISHED", "started": 1.0, "jobs": complete, **fields}
    (directory / "sweep.json").write_text(json.dumps(content))
    return directory


def test_sweep_is_found_by_directory_name_and_latest(tmp_path: Path) -> None:
    first = write_sweep(tmp_path / "sweeps/day/08", sweep_name="act-lr", started=1.0)
    second = write_sweep(tmp_path / "sweeps/day/09", sweep_name="loss", started=2.0)
    for sweep in (first, second):
        write_run(sweep / "0")
    for name in (str(first), "sweeps/day/08", "act-lr", "08"):
        assert find_sweep(name, tmp_path) == first
    assert find_sweep("latest", tmp_path) == second
    assert sweep_name(first) == "act-lr"


def test_folder_of_runs_is_accepted(tmp_path: Path) -> None:
    write_run(tmp_path / "runs/day/a")
    assert find_sweep("runs", tmp_path) == tmp_path / "runs"


def test_missing_sweep_is_user_error(tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweeps/day/08", sweep_name="act-lr")
    with pytest.raises(UserError, match=r"^act-ls: .* Did you mean 'act-lr'\?$"):
        find_sweep("act-ls", tmp_path)
    with pytest.raises(UserError, match=r"^latest: there are no sweeps"):
        find_sweep("latest", tmp_path)


def test_newest_sweep_needs_a_started_job(tmp_path: Path) -> None:
    begun = write_sweep(tmp_path / "sweeps/day/1", {"status": "FAILED"}, started=1.0)
    write_sweep(tmp_path / "sweeps/day/2", {"status": "PENDING"}, started=2.0)
    assert newest_sweep(tmp_path) == begun


def test_reused_runs_belong_to_sweep(tmp_path: Path) -> None:
    earlier = write_run(tmp_path / "runs/day/a")
    outside = write_run(tmp_path.parent / f"{tmp_path.name}-outside" / "a")
    jobs = [
        {"status": "FINISHED"},
        {"status": "REUSED", "reused": "../../../runs/day/a"},
        {"status": "REUSED", "reused": f"../../../{outside.relative_to(tmp_path.parent)}"},
        {"status": "REUSED", "reused": "../../../runs/day/gone"},
    ]
    sweep = write_sweep(tmp_path / "sweeps/day/1", *jobs)
    own = write_run(sweep / "0")
    assert runs_of(sweep) == [own, earlier]
