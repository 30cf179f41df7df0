"""Tests of sweeps whose sweeper proposes jobs in rounds, depending on previous outcomes."""

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import ready_processes
from expt.errors import RunError
from expt.record.phases import Phases
from expt.sweep import scheduler, start
from expt.sweep.launchers.worker import CheckedJob
from sweep import searching
from sweep.remote_launcher import RemoteLauncher
from sweep.searching import FakeLauncher, Rounds, run

ROUNDS = [
    *("act=relu", "act=tanh", "act=elu"),
    *("act=elu,loss=mse", "act=elu,loss=focal"),
    *("act=elu,loss=focal,seed=1", "act=elu,loss=focal,seed=2"),
]
pytestmark = pytest.mark.usefixtures("restored_log")


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allows the custom sweeper, and omits the report, which takes longer than all the rest."""
    monkeypatch.setenv("EXPT_ALLOW", "sweep")
    monkeypatch.setattr(scheduler, "show_comparison", lambda *_: None)


def content(directory: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((directory / "sweep.json").read_text())
    return read


def asked(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Returns the overrides that the sweeper has chosen for each job."""
    return [",".join(one for one in job if one.startswith(("act", "loss", "seed"))) for job in jobs]


def test_each_round_uses_results_of_previous_round(tmp_path: Path) -> None:
    launcher = FakeLauncher()
    code, shown = run(tmp_path / "sweep", launcher)
    assert asked(launcher.trained) == ROUNDS
    # The last two jobs differ only in their seeds, so they are of one kind.
    assert asked(launcher.checked) == [*ROUNDS[:5], ROUNDS[5]]
    assert code == 0
    written = content(tmp_path / "sweep")
    assert asked([job["overrides"] for job in written["jobs"]]) == ROUNDS
    assert [job["status"] for job in written["jobs"]] == ["FINISHED"] * 7
    assert [job["variant"] for job in written["jobs"]][2:6] == [
        *("act=elu", "act=elu,loss=mse"),
        *("act=elu,loss=focal", "act=elu,loss=focal"),
    ]
    assert written["status"] == "FINISHED"
    assert written["varied"] == ["act", "loss", "seed"]
    assert len({job["run_name"] for job in written["jobs"]}) == 7
    assert "7 of 7 jobs finished" in shown


@pytest.mark.parametrize("trained", [2, 4, 6])
def test_sweep_killed_in_any_round_is_resumed_from_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: int
) -> None:
    directory = tmp_path / "sweep"
    command = [sys.executable, "-m", "sweep.searching", str(directory), str(trained)]
    done = ready_processes.run(command)
    assert done.returncode == -9
    planned = len(content(directory)["jobs"])
    assert planned == {2: 3, 4: 5, 6: 7}[trained]
    launcher = FakeLauncher()
    monkeypatch.setattr(start, "start_launcher", lambda *_: launcher)
    phases = Phases(Console(file=io.StringIO(), width=200))
    assert start.resume_sweep(directory, phases, retry_failed=False) == 0
    written = content(directory)
    assert asked([job["overrides"] for job in written["jobs"]]) == ROUNDS
    assert {job["status"] for job in written["jobs"]} == {"FINISHED"}
    assert asked(launcher.trained) == ROUNDS[trained:]
    # Once more, when nothing is left to train.
    assert start.resume_sweep(directory, phases, retry_failed=False) == 0
    assert len(launcher.trained) == len(ROUNDS) - trained


def test_failed_check_fails_only_its_job_and_is_reported_to_sweeper(tmp_path: Path) -> None:
    def check(job: Any) -> CheckedJob:
        return (
            CheckedJob("its loss is not finite")
            if "loss=focal" in job.overrides
            else CheckedJob(seconds=1.0)
        )

    launcher = FakeLauncher(check)
    code, shown = run(tmp_path / "sweep", launcher)
    assert code == 1
    *_, mse, focal, _one, _two = content(tmp_path / "sweep")["jobs"]
    assert (mse["status"], focal["status"]) == ("FINISHED", "FAILED")
    assert focal["error"] == "its loss is not finite"
    assert asked(launcher.trained)[-2:] == ["act=elu,loss=mse,seed=1", "act=elu,loss=mse,seed=2"]
    assert "FAILED" in shown


def test_job_that_cannot_be_composed_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rounds, "_best", lambda *_: "act=reluu")
    with pytest.raises(RunError, match=r"The sweeper has proposed a job .*reluu"):
        run(tmp_path / "sweep", FakeLauncher())
    written = content(tmp_path / "sweep")
    assert (written["status"], len(written["jobs"])) == ("FAILED", 3)


def test_launcher_and_scheduler_share_only_files_of_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    launcher = RemoteLauncher(tmp_path / "elsewhere")
    directory = tmp_path / "outputs" / "sweep"
    try:
        code, _ = run(directory, launcher, "loop.epochs=2", "model.units=[8]", "metric=accuracy")
    finally:
        launcher.close()
    written = content(directory)
    assert (code, [job["status"] for job in written["jobs"]]) == (0, ["FINISHED"] * 7)
    places = [directory / job["directory"] for job in written["jobs"]]
    records = [json.loads((place / "run.json").read_text()) for place in places]
    values = [record["best"]["val/accuracy"] for record in records]
    first = [f"act={act}" for act in searching.ACTIVATIONS]
    best = first[max(range(3), key=lambda n: values[n])]
    second = [f"{best},loss=mse", f"{best},loss=focal"]
    loss = second[values[4] > values[3]]
    expected = [*first, *second, f"{loss},seed=1", f"{loss},seed=2"]
    assert asked([job["overrides"] for job in written["jobs"]]) == expected
    assert {record["sweep"]["name"] for record in records} == {written["sweep_name"]}
    assert not list((tmp_path / "elsewhere").rglob("run.json"))
