import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from expt.config.hashes import variant_hash
from expt.config.schema import Config
from expt.errors import UserError
from expt.record.phases import Phases
from expt.sweep import preflight
from expt.sweep.launchers import Event, Launcher, Task, TaskEnded, TaskStarted
from expt.sweep.launchers.worker import CheckedJob
from expt.sweep.preflight import check_kinds
from sweep.sweep_helpers import composed, planned

PHASES = Phases(Console(quiet=True))


class _MeasuringLauncher:
    """A launcher whose checks report given durations."""

    num_slots = 1

    def __init__(self, seconds: Callable[[Config], float]) -> None:
        self.checked: list[tuple[str, ...]] = []
        self._seconds, self._ended = seconds, list[TaskEnded]()

    def submit(self, task: Task) -> None:
        job, is_measured, _code = task.arguments
        assert task.threads == job.config.loop.threads
        self.checked.append(job.overrides)
        seconds = self._seconds(job.config) if is_measured else None
        self._ended.append(TaskEnded(task.number, CheckedJob(seconds=seconds)))

    def next_event(self, _seconds: float) -> TaskEnded:
        return self._ended.pop()


@pytest.mark.parametrize(
    "override",
    [
        "loop.keep_checkpoints=1,2",
        "loop.save_every=1ep,null",
        "loop.image_every=1ep,null",
        "loop.profile=null,3",
        "data.path=a.csv,b.csv",
    ],
)
def test_jobs_of_one_kind_may_differ_in_values_without_effect(
    override: str, tmp_path: Path
) -> None:
    jobs = composed("data=csv", "data.target=y", "data.path=a.csv", override)
    plan = planned(tmp_path, jobs)
    kinds = {number: variant_hash(one.job.config, "d", "c") for number, one in enumerate(jobs)}
    assert len(set(kinds.values())) == 1
    workers = _MeasuringLauncher(lambda _: 3.0)
    assert check_kinds(plan, kinds, cast("Launcher", workers), PHASES) == 3.0
    assert workers.checked == [jobs[0].job.overrides]


def test_estimate_is_mean_over_jobs_by_size(tmp_path: Path) -> None:
    jobs = composed("loop.epochs=1,4", "act=relu,tanh", "seed=0,1")
    plan = planned(tmp_path, jobs)
    kinds = {number: variant_hash(one.job.config, "d", "c") for number, one in enumerate(jobs)}
    workers = _MeasuringLauncher(lambda config: float(config.loop.epochs))
    assert check_kinds(plan, kinds, cast("Launcher", workers), PHASES) == 2.5
    assert workers.checked == [jobs[number].job.overrides for number in (0, 2, 4, 6)]


class _HangingLauncher:
    """A launcher that never finishes the check of one job unless it is cancelled."""

    num_slots = 2

    def __init__(self, hanging: str) -> None:
        self._hanging = hanging
        self._events: list[Event] = []
        self.cancelled: list[int] = []

    def submit(self, task: Task) -> None:
        self._events.append(TaskStarted(task.number))
        if self._hanging not in task.arguments[0].overrides:
            self._events.append(TaskEnded(task.number, CheckedJob(seconds=1.0)))

    def next_event(self, seconds: float) -> Event | None:
        if not self._events:
            time.sleep(min(seconds, 0.01))
        return self._events.pop(0) if self._events else None

    def cancel(self, number: int) -> None:
        self.cancelled.append(number)
        self._events.append(TaskEnded(number, error="its process was killed by SIGKILL"))


def test_hanging_check_is_cancelled_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "CHECK_TIMEOUT", 0.1)
    jobs = composed("act=relu,tanh,elu")
    plan = planned(tmp_path, jobs)
    kinds = {number: str(number) for number in range(3)}
    workers = _HangingLauncher("act=tanh")
    with pytest.raises(UserError) as caught:
        check_kinds(plan, kinds, cast("Launcher", workers), PHASES)
    assert len(workers.cancelled) == 1
    lines = str(caught.value).splitlines()
    assert lines[0] == "1 of 3 kinds of jobs can't be trained; no job was started."
    assert lines[1].startswith("act=tanh: its check took longer than ")
