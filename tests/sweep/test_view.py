"""Tests of the progress display of a sweep: permanent lines, and a live view in a terminal."""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from expt.config.job import ComposedJob
from expt.record.journal import FILE_NAME
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep.jobs import PlannedJob
from expt.sweep.plan import SweepPlan
from expt.sweep.view import SweepView
from sweep.sweep_helpers import composed

MONITORED_LOSS: dict[str, Any] = {"watched": "val/loss", "larger_is_better": ["accuracy"]}
MONITORED_ACCURACY: dict[str, Any] = {"watched": "val/accuracy", "larger_is_better": ["accuracy"]}


@pytest.fixture(scope="module")
def jobs() -> Sequence[ComposedJob]:
    return composed("act=relu,tanh", "seed=0,1")


@pytest.fixture(scope="module")
def two_losses() -> Sequence[ComposedJob]:
    return composed("loss=crossentropy,mse")


class Shown:
    """A view, and the output on its console."""

    def __init__(
        self,
        folder: Path,
        jobs: Sequence[ComposedJob],
        *,
        is_terminal: bool = False,
        seconds: float | None = None,
        workers: int = 2,
        width: int = 200,
    ) -> None:
        self.plan = SweepPlan.make(folder, jobs, ["hash"] * len(jobs))
        self._text = io.StringIO()
        console = Console(
            file=self._text, force_terminal=is_terminal, width=width, color_system=None
        )
        self.view = SweepView(self.plan, console, workers, seconds)

    def begin(self, number: int) -> PlannedJob:
        job = self.plan.jobs[number]
        job.status = JobStatus.RUNNING
        job.directory.mkdir(parents=True, exist_ok=True)
        self.view.begin(job)
        return job

    def end(
        self,
        number: int,
        status: JobStatus = JobStatus.FINISHED,
        error: str | None = None,
        **record: Any,
    ) -> None:
        job = self.plan.jobs[number]
        job.status, job.error = status, error
        self.view.end(job, RunRecord.of(record))

    def text(self) -> str:
        """Returns the output since the last call, without terminal codes."""
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)

    def refreshed(self) -> str:
        """Updates the live view, and returns its content."""
        self.text()
        self.view._last_refresh = float("-inf")
        self.view.refresh()
        return self.text()


def test_each_ended_job_is_one_line(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    shown = Shown(tmp_path, jobs)
    shown.view.start()
    final = {"step": 60, "train/loss": 0.5, "val/loss": 0.25, "test/accuracy": 0.9375}
    for number in (0, 1, 2):
        shown.begin(number)
    shown.view.refresh()
    assert shown.text() == ""
    best = {"step": 40, "watched": "val/loss", "val/loss": 0.125, "val/accuracy": 0.5}
    shown.end(0, final=final, best=best, **MONITORED_LOSS)
    line = shown.text()
    assert line.startswith(
        "1/4 FINISHED 0_act=relu,seed=0  best val/loss 0.125  val/accuracy 0.5  "
        "test/accuracy 0.9375  0."
    )
    shown.end(1, JobStatus.FAILED, "RunError: [red]no[/red] word\nor two")
    line = shown.text()
    assert line.count("\n") == 1
    assert line.startswith("2/4 FAILED 1_act=relu,seed=1  RunError: [red]no[/red] word")
    shown.end(2, JobStatus.KILLED)
    assert shown.text().startswith("3/4 KILLED 2_act=tanh,seed=0  ")
    shown.view.stop()
    assert shown.text() == ""


def test_line_is_shortened_on_narrow_terminal(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    shown = Shown(tmp_path, jobs, is_terminal=True, width=60)
    shown.begin(0)
    best = {"val/loss": 0.125, "val/accuracy": 0.5}
    shown.end(0, final={"test/loss": 0.25}, best=best, **MONITORED_LOSS)
    assert re.fullmatch(
        r"1/4 FINISHED 0_act=relu,seed=0  best val/loss 0.125  0.\d s", shown.text().strip()
    )


def test_long_line_is_not_wrapped(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    shown = Shown(tmp_path, jobs)
    shown.begin(0)
    shown.end(0, JobStatus.FAILED, "word " * 100)
    assert shown.text().count("\n") == 1


def test_live_view_shows_progress_of_running_jobs(
    tmp_path: Path, jobs: Sequence[ComposedJob]
) -> None:
    shown = Shown(tmp_path, jobs, is_terminal=True, seconds=100.0)
    shown.view.start()
    first, second = shown.begin(0), shown.begin(1)
    text = shown.refreshed()
    assert "0/4 done · 2 running · 0 failed · about 3 min 20 s left" in text  # 4 x 100 s / 2
    assert re.search(r"0_act=relu,seed=0 +starting", text)
    lines = [
        {"step": 39, "epoch": 2, "train/loss": 0.75},
        {"step": 40, "epoch": 2, "train/loss": 0.5},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (first.directory / FILE_NAME).write_text(text + '{"step": 41, "ep')
    (second.directory / FILE_NAME).write_text('{"step": 20, "epoch": 1, "val/loss": 0.5}\n')
    text = shown.refreshed()
    assert re.search(r"0_act=relu,seed=0 +epoch 2 +step 40 +train/loss 0.5", text)
    assert re.search(r"1_act=relu,seed=1 +epoch 1 +step 20 *$", text)
    shown.end(0, JobStatus.FAILED, "no")
    assert "0/4 done · 1 running · 1 failed" in shown.refreshed()
    shown.end(1, final={}, best={"val/loss": 0.5}, **MONITORED_LOSS)
    text = shown.refreshed()
    assert "1/4 done · 0 running · 1 failed" in text
    assert "best so far: val/loss 0.5  1_act=relu,seed=1" in text
    assert "seed=0" not in text
    shown.view.stop()


@pytest.mark.parametrize("content", ["", "\n", "{}\n", "[]\n", '{"step": 1', "\xff\n"])
def test_job_without_journal_records_is_starting(
    tmp_path: Path, jobs: Sequence[ComposedJob], content: str
) -> None:
    shown = Shown(tmp_path, jobs, is_terminal=True)
    shown.view.start()
    (shown.begin(0).directory / FILE_NAME).write_bytes(content.encode("latin-1"))
    assert "starting" in shown.refreshed()
    shown.view.stop()


def test_refresh_is_limited(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    shown = Shown(tmp_path, jobs, is_terminal=True)
    shown.view.start()
    shown.refreshed()
    for _ in range(10):
        shown.view.refresh()
    assert shown.text() == ""
    shown.view.stop()


def test_time_left_is_estimated_from_finished_jobs(
    tmp_path: Path, jobs: Sequence[ComposedJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    shown = Shown(tmp_path, jobs, workers=1)
    assert shown.view.seconds_left() is None
    shown.begin(0)
    now += 30
    shown.end(0, JobStatus.FAILED, "at once")
    assert shown.view.seconds_left() is None  # failed jobs are not used for the estimate
    shown.begin(1)
    now += 10
    shown.end(1, final={}, best={}, **MONITORED_LOSS)
    assert shown.view.seconds_left() == 20
    shown.begin(2)
    now += 4
    assert shown.view.seconds_left() == 6 + 10
    now += 400
    assert shown.view.seconds_left() == 10  # never negative


def best(shown: Shown) -> str:
    found = re.findall(r"best so far: (.*\S)", shown.refreshed())
    return found[-1] if found else ""


def test_smallest_loss_is_best(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    shown = Shown(tmp_path, jobs, is_terminal=True)
    shown.view.start()
    assert best(shown) == ""
    for number, loss in enumerate((0.5, 0.25, 0.75)):
        shown.begin(number)
        shown.end(number, best={"val/loss": loss, "val/accuracy": loss}, **MONITORED_LOSS)
    assert best(shown) == "val/loss 0.25  1_act=relu,seed=1"
    shown.begin(3)
    shown.end(3, JobStatus.FAILED, "no", best={"val/loss": 0.1}, **MONITORED_LOSS)
    assert best(shown) == "val/loss 0.25  1_act=relu,seed=1"
    shown.view.stop()


def test_largest_value_may_be_best(tmp_path: Path, jobs: Sequence[ComposedJob]) -> None:
    shown = Shown(tmp_path, jobs, is_terminal=True)
    shown.view.start()
    for number, accuracy in enumerate((0.5, 0.75, 0.25)):
        shown.begin(number)
        shown.end(number, best={"val/loss": 0.1, "val/accuracy": accuracy}, **MONITORED_ACCURACY)
    assert best(shown) == "val/accuracy 0.75  1_act=relu,seed=1"
    shown.view.stop()


def test_different_losses_are_not_compared(
    tmp_path: Path, two_losses: Sequence[ComposedJob]
) -> None:
    shown = Shown(tmp_path, two_losses, is_terminal=True)
    shown.view.start()
    for number, (loss, accuracy) in enumerate(((2.0, 0.75), (0.01, 0.5))):
        shown.begin(number)
        values = {"val/loss": loss, "val/accuracy": accuracy}
        shown.end(number, best=values, **MONITORED_LOSS)
    assert best(shown) == "val/accuracy 0.75  0_loss=crossentropy"
    shown.view.stop()


def test_no_best_job_without_comparable_metric(
    tmp_path: Path, two_losses: Sequence[ComposedJob]
) -> None:
    shown = Shown(tmp_path, two_losses, is_terminal=True)
    shown.view.start()
    for number in (0, 1):
        shown.begin(number)
        shown.end(number, best={"val/loss": 0.5}, watched="val/loss", larger_is_better=[])
    assert best(shown) == ""
    shown.view.stop()
