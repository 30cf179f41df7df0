"""Tests that a sweep is resumed only with the same data as before."""

import json
from pathlib import Path
from typing import Any

import pytest

from expt.errors import UserError
from expt.sweep.data_changes import check_data
from expt.sweep.plan import SweepPlan
from expt.train.data_loading import DataLoader
from recorded_runs import record_run
from sweep.sweep_helpers import composed, planned

ROWS = [f"{i % 7},{i % 5},{'cat' if i % 3 else 'dog'}" for i in range(60)]
COMPLETE: dict[str, Any] = {
    "status": "FINISHED",
    "started": 1.0,
    "parameters": 1,
    "versions": {},
    **dict.fromkeys(("run_name", "run_hash", "variant_hash"), ""),
}


def write(folder: Path, rows: list[str]) -> str:
    (folder / "known.csv").write_text("\n".join(["a,b,kind", *rows]) + "\n")
    return f"data.path={folder / 'known.csv'}"


@pytest.fixture
def plan(tmp_path: Path) -> SweepPlan:
    """A plan of two jobs, of which the first has been trained."""
    given = ("data=csv", "data.target=kind", write(tmp_path, ROWS))
    plan = planned(tmp_path / "sweep", composed(*given, "act=relu,tanh"))
    record = record_run(tmp_path, *given).record.to_mapping()
    data = {**record["data"], "skipped": 0, "examples": {}}
    begin(plan, {**COMPLETE, **record, "data": data})
    return plan


def begin(plan: SweepPlan, record: dict[str, Any]) -> None:
    (plan.jobs[0].directory / "run.json").write_text(json.dumps(record))


def test_same_data_is_accepted(plan: SweepPlan) -> None:
    check_data(plan, plan.jobs[1:], DataLoader())


def test_changed_data_is_refused(plan: SweepPlan, tmp_path: Path) -> None:
    write(tmp_path, ROWS[::-1])
    with pytest.raises(UserError, match=r"the data has changed since .*sweep started: its finger"):
        check_data(plan, plan.jobs[1:], DataLoader())
    write(tmp_path, [row.replace("cat", "ant") for row in ROWS])
    with pytest.raises(UserError, match=r"its classes are ant, dog and were cat, dog"):
        check_data(plan, plan.jobs[1:], DataLoader())


@pytest.mark.parametrize("content", ["{", "{}", '{"status": "FINISHED", "started": 1}'])
def test_damaged_record_is_ignored(plan: SweepPlan, tmp_path: Path, content: str) -> None:
    write(tmp_path, ROWS[::-1])
    (plan.jobs[0].directory / "run.json").write_text(content)
    check_data(plan, plan.jobs[1:], DataLoader())


def test_missing_data_is_not_an_error_of_the_sweep(plan: SweepPlan, tmp_path: Path) -> None:
    (tmp_path / "known.csv").unlink()
    check_data(plan, plan.jobs[1:], DataLoader())
