import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from expt.config.compose import Composition
from expt.config.job import Job
from expt.runs.records import RunRecord, write_run
from expt.runs.run import Status
from expt.train.messages import (
    describe_outcome,
    print_findings,
    print_git_trouble,
    print_notes,
    print_where_to_look,
)


def compose_one(*overrides: str) -> Job:
    return Composition(overrides).first_job().job


RECORD: dict[str, Any] = {
    "status": "FINISHED",
    "started": 1000.0,
    "ended": 1075.0,
    "stopped": None,
    "final": {
        "step": 81102,
        "train/loss": 0.1,
        "val/loss": 0.25,
        "val/accuracy": 0.97222,
        "test/loss": 0.00004,
        "test/accuracy": 1.0,
    },
    "best": {"step": 570, "watched": "val/loss", "val/loss": 0.125, "val/accuracy": 0.9},
}


def test_notes_are_printed_without_markup() -> None:
    stream = io.StringIO()
    print_notes(Console(file=stream, width=20), ["a [bold]column[/bold] of 300 values", "1:2"])
    assert stream.getvalue() == "data: a [bold]column[/bold] of 300 values\ndata: 1:2\n"


def test_a_repository_that_git_refuses_to_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.chdir(tmp_path)
    print_git_trouble(Console(file=stream))
    assert stream.getvalue() == ""
    subprocess.run(["git", "init", "--quiet"], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    print_git_trouble(Console(file=stream))
    assert f"git config --global --add safe.directory {tmp_path}\n" in stream.getvalue()


def test_the_command_of_the_interface_is_printed_unless_nothing_is_recorded_there() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    print_where_to_look(console, Path("outputs"), [compose_one("recorder=[]")])
    assert stream.getvalue() == ""
    jobs = [compose_one("recorder=[]"), compose_one()]
    print_where_to_look(console, Path("outputs"), jobs)
    assert stream.getvalue().endswith(" -m expt.ui starts TensorBoard and MLflow\n")


def test_outcome_separates_last_values_from_best_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_outcome(RunRecord.of(RECORD), tmp_path / "run", 90.0) == [
        "FINISHED after 81,102 steps in 1 min 30 s (training 1 min 15 s)",
        "last  step 81,102  val/loss 0.25  val/accuracy 0.9722",
        "★ best  step 570  val/loss 0.125  val/accuracy 0.9  (by val/loss)",
        "★ test  test/loss 0.00004  test/accuracy 1",
        "★ model run/model.keras",
    ]


def test_last_values_are_not_repeated_if_they_are_the_best(tmp_path: Path) -> None:
    best = {**RECORD["best"], "step": 81102}
    lines = describe_outcome(RunRecord.of({**RECORD, "best": best}), tmp_path, 90.0)
    assert not [line for line in lines if line.startswith("last")]


def test_outcome_of_a_resumed_run_has_stop_reason_and_time_since_resume(
    tmp_path: Path,
) -> None:
    reason = "val/loss has not improved for 3 evaluations"
    record = {**RECORD, "resumed": [{"time": 1070.0}], "stopped": reason}
    lines = describe_outcome(RunRecord.of(record), tmp_path, 9.0)
    assert lines[0].endswith("in 9.0 s (training 5.0 s)")
    assert lines[1] == f"stopped early: {reason}"


def test_findings_are_printed_with_their_remedies(tmp_path: Path) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=20)
    print_findings(console, tmp_path)  # no run has begun
    write_run(tmp_path, RunRecord(status=Status.FINISHED, started=1.0))  # of an older version
    print_findings(console, tmp_path)
    assert stream.getvalue() == ""
    findings = [
        {"rule": "dead_units", "message": "half of [them] are dead", "remedy": "act=elu"},
        {"rule": "shuffled_labels", "message": "the labels may be wrong"},
    ]
    write_run(tmp_path, RunRecord.of({"started": 1.0, "status": "FAILED", "findings": findings}))
    print_findings(console, tmp_path)
    assert stream.getvalue() == (
        "! half of [them] are dead. Try act=elu\n! the labels may be wrong.\n"
    )
