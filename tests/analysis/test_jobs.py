"""Tests of unfinished sweeps, and of sweeps that reuse previous runs."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.made_runs import write_plan, write_run
from expt.analysis.output import summarize_sweep
from expt.analysis.selection import select
from expt.analysis.table import Comparison, compare
from expt.errors import UserError
from expt.runs.sweeps import newest_sweep

SWEEP = Path("outputs/sweeps/2026-01-02/10-00-00_b")
EARLIER = Path("outputs/sweeps/2026-01-01/10-00-00_a/0_seed=0")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compared(name: str | Path, *filters: str) -> Comparison:
    selection = select([str(name)], filters, Path("outputs"))
    return compare(selection.runs, notes=selection.notes)


def test_jobs_of_a_running_sweep_that_have_not_started_are_counted() -> None:
    write_run(SWEEP / "a", seed=0)
    write_run(SWEEP / "b", seed=1, status="RUNNING", final=None, best=None)
    waiting = {"status": "PENDING"}
    starting = {"status": "RUNNING"}
    write_plan(SWEEP, a={"status": "FINISHED"}, b=starting, c=starting, d=waiting, e=waiting)
    found = compared(SWEEP)
    assert [len(variant.counted) for variant in found.variants] == [1]
    assert [run.directory.name for run in found.unfinished] == ["b"]
    assert "3 jobs have not started." in found.notes


def test_jobs_that_failed_before_their_run_began_are_listed() -> None:
    reason = "its process was killed by SIGKILL"
    plan = {"status": "FAILED", "error": reason, "overrides": ["act=tanh", "seed=1"]}
    write_run(SWEEP / "a")
    write_plan(SWEEP, a={"status": "FINISHED"}, b=plan, c={"status": "KILLED"})
    found = compared(SWEEP)
    listed = [(run.directory.name, run.status, run.reason) for run in found.unfinished]
    assert listed == [("b", "FAILED", reason), ("c", "KILLED", None)]
    assert len(found.variants) == 1
    assert "Not included in the means: 1 FAILED, 1 KILLED." in found.notes
    (failed,) = compared(SWEEP, "act=tanh").unfinished
    assert failed.reason == reason


def test_a_sweep_whose_jobs_all_failed_is_summarized() -> None:
    write_plan(SWEEP, a={"status": "FAILED", "error": "why"})
    assert newest_sweep(Path("outputs")) == SWEEP
    assert [run.reason for run in compared("latest").unfinished] == ["why"]
    summarize_sweep(SWEEP, Path("summary"))
    assert "why" in Path("summary/table.md").read_text()


def test_a_sweep_that_has_not_started_has_no_runs() -> None:
    write_plan(SWEEP, a={"status": "PENDING"})
    assert newest_sweep(Path("outputs")) is None
    with pytest.raises(UserError, match="there are no runs"):
        compared(SWEEP)


@pytest.mark.parametrize("kind", ["absolute", "from the sweep"])
def test_a_reused_run_counts_as_the_run_of_its_job(kind: str, folder: Path) -> None:
    write_run(EARLIER, {"act": "tanh"}, seed=0, values={"val/loss": 0.25})
    write_run(SWEEP / "a", {"act": "tanh"}, seed=1, values={"val/loss": 0.75})
    named = folder / EARLIER if kind == "absolute" else Path("../..", *EARLIER.parts[2:])
    write_plan(SWEEP, a={"status": "FINISHED"}, b={"status": "REUSED", "reused": str(named)})
    for found in (compared(SWEEP), compared("latest")):
        (variant,) = found.variants
        assert variant.values("val/loss") == {("0",): 0.25, ("1",): 0.75}
        assert not found.unfinished
        assert "1 previous run was reused by the sweep." in found.notes
    assert newest_sweep(Path("outputs")) == SWEEP
    whole = compared("outputs")
    assert whole.num_runs == 2  # each once
    assert not any("reused" in note for note in whole.notes)
    (job,) = select([str(SWEEP / "b")], (), Path("outputs")).runs
    assert job.directory == folder / EARLIER


@pytest.mark.parametrize("original_stays", [False, True])
def test_a_reused_run_is_found_in_a_moved_or_copied_folder(
    original_stays: bool, folder: Path
) -> None:
    write_run(EARLIER, {"act": "tanh"}, values={"val/loss": 0.25})
    write_run(SWEEP / "a", {"act": "tanh"}, seed=1, values={"val/loss": 0.75})
    entry = {"status": "REUSED", "reused": str(folder / EARLIER)}
    write_plan(SWEEP, a={"status": "FINISHED"}, b=entry)
    shutil.copytree("outputs", "elsewhere")
    if not original_stays:
        shutil.rmtree("outputs")
    (variant,) = compared(Path("elsewhere", *SWEEP.parts[1:])).variants
    assert variant.values("val/loss") == {("0",): 0.25, ("1",): 0.75}
    assert Path("elsewhere").resolve() in variant.runs[0].directory.resolve().parents
    assert Path("elsewhere").resolve() in variant.runs[1].directory.resolve().parents


@pytest.mark.parametrize("where", ["gone", "outside", "a link outside"])
def test_a_reused_run_outside_of_the_outputs_is_unreadable(where: str, folder: Path) -> None:
    write_run(SWEEP / "a")
    write_run(folder / "outside")
    Path("outputs/link").symlink_to(folder / "outside")
    named = {"gone": EARLIER, "outside": Path("outside"), "a link outside": Path("outputs/link")}
    plan: dict[str, Any] = {"status": "REUSED", "reused": str(folder / named[where])}
    write_plan(SWEEP, a={"status": "FINISHED"}, b=plan)
    (lost,) = compared(SWEEP).unfinished
    assert lost.status == "UNREADABLE"
    assert lost.reason is not None
    assert str(named[where]) in lost.reason
    assert "is missing" in lost.reason


def test_without_a_plan_jobs_that_have_not_started_are_counted() -> None:
    write_run(SWEEP / "a")
    (SWEEP / "b" / ".hydra").mkdir(parents=True)
    assert "1 job has not started." in compared(SWEEP).notes
