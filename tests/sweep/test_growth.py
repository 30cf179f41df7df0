"""Sweeps whose sweeper asks in rounds and uses the results of the earlier ones."""

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from expt.errors import RunError
from expt.record.phases import Phases
from expt.sweep import scheduler, start
from expt.sweep.launchers.worker import CheckedJob
from sweep import searching
from sweep.remote_launcher import RemoteLauncher
from sweep.searching import Pretending, Rounds, run

ROUNDS = [
    *("act=relu", "act=tanh", "act=elu"),
    *("act=elu,loss=mse", "act=elu,loss=focal"),
    *("act=elu,loss=focal,seed=1", "act=elu,loss=focal,seed=2"),
]
pytestmark = pytest.mark.usefixtures("restored_log")


@pytest.fixture(autouse=True)
def _prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweeper is a user's own; there is no report, which takes longer than all the rest."""
    monkeypatch.setenv("EXPT_ALLOW", "sweep")
    monkeypatch.setattr(scheduler, "show_comparison", lambda *_: None)


def content(directory: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((directory / "sweep.json").read_text())
    return read


def asked(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides that the sweeper chose for each job."""
    return [",".join(one for one in job if one.startswith(("act", "loss", "seed"))) for job in jobs]


def test_each_round_uses_the_results_of_the_one_before(tmp_path: Path) -> None:
    launcher = Pretending()
    code, shown = run(tmp_path / "sweep", launcher)
    assert asked(launcher.trained) == ROUNDS
    assert asked(launcher.checked) == [*ROUNDS[:5], ROUNDS[5]]  # seeds are of one kind
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
def test_a_sweep_that_was_killed_in_any_round_is_resumed_from_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: int
) -> None:
    directory = tmp_path / "sweep"
    command = [sys.executable, "-m", "sweep.searching", str(directory), str(trained)]
    done = subprocess.run(command, check=False, env=_environment())
    assert done.returncode == -9
    planned = len(content(directory)["jobs"])
    assert planned == {2: 3, 4: 5, 6: 7}[trained]
    launcher = Pretending()
    monkeypatch.setattr(start, "start_launcher", lambda *_: launcher)
    phases = Phases(Console(file=io.StringIO(), width=200))
    assert start.resume_sweep(directory, phases, retry_failed=False) == 0
    written = content(directory)
    assert asked([job["overrides"] for job in written["jobs"]]) == ROUNDS
    assert {job["status"] for job in written["jobs"]} == {"FINISHED"}
    assert asked(launcher.trained) == ROUNDS[trained:]
    assert start.resume_sweep(directory, phases, retry_failed=False) == 0  # there is nothing left
    assert len(launcher.trained) == len(ROUNDS) - trained


def _environment() -> dict[str, str]:
    import os

    path = os.pathsep.join([str(Path(searching.__file__).parents[1]), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path}


def test_a_job_that_fails_its_check_fails_alone_and_the_sweeper_is_told(tmp_path: Path) -> None:
    def check(job: Any) -> CheckedJob:
        return (
            CheckedJob("its loss is not finite")
            if "loss=focal" in job.overrides
            else CheckedJob(seconds=1.0)
        )

    launcher = Pretending(check)
    code, shown = run(tmp_path / "sweep", launcher)
    assert code == 1
    *_, mse, focal, _one, _two = content(tmp_path / "sweep")["jobs"]
    assert (mse["status"], focal["status"]) == ("FINISHED", "FAILED")
    assert focal["error"] == "its loss is not finite"
    assert asked(launcher.trained)[-2:] == ["act=elu,loss=mse,seed=1", "act=elu,loss=mse,seed=2"]
    assert "FAILED" in shown


def test_a_job_that_cannot_be_composed_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rounds, "_best", lambda *_: "act=reluu")
    with pytest.raises(RunError, match=r"The sweeper has proposed a job .*reluu"):
        run(tmp_path / "sweep", Pretending())
    written = content(tmp_path / "sweep")
    assert (written["status"], len(written["jobs"])) == ("FAILED", 3)


def test_a_launcher_shares_no_files_with_the_scheduler_but_those_of_the_runs(
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
