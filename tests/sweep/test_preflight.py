from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from expt.config.hashes import variant_hash
from expt.record.phases import Phases
from expt.sweep.launchers import Ended, Launcher, Task
from expt.sweep.launchers.worker import CheckedJob
from expt.sweep.preflight import check_kinds
from sweep.sweep_helpers import composed, planned

PHASES = Phases(Console(quiet=True))


class _Measured:
    """LocalLauncher that measure what a job is said to take."""

    num_slots = 1

    def __init__(self, seconds: Callable[[dict[str, Any]], float]) -> None:
        self.checked: list[tuple[str, ...]] = []
        self._seconds, self._ended = seconds, list[Ended]()

    def submit(self, task: Task) -> None:
        job, is_measured, _code = task.arguments
        assert task.threads == job.config["loop"]["threads"]
        self.checked.append(job.overrides)
        seconds = self._seconds(job.config) if is_measured else None
        self._ended.append(Ended(task.number, CheckedJob(seconds=seconds)))

    def next_event(self, _seconds: float) -> Ended:
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
def test_jobs_of_one_kind_may_differ_in_what_changes_no_number(
    override: str, tmp_path: Path
) -> None:
    jobs = composed("data=csv", "data.target=y", "data.path=a.csv", override)
    plan = planned(tmp_path, jobs)
    kinds = {number: variant_hash(one.job.config, "d", "c") for number, one in enumerate(jobs)}
    assert len(set(kinds.values())) == 1
    workers = _Measured(lambda _: 3.0)
    assert check_kinds(plan, kinds, cast("Launcher", workers), PHASES) == 3.0
    assert workers.checked == [jobs[0].job.overrides]


def test_each_job_counts_with_the_seconds_of_its_size(tmp_path: Path) -> None:
    jobs = composed("loop.epochs=1,4", "act=relu,tanh", "seed=0,1")
    plan = planned(tmp_path, jobs)
    kinds = {number: variant_hash(one.job.config, "d", "c") for number, one in enumerate(jobs)}
    workers = _Measured(lambda config: float(config["loop"]["epochs"]))
    assert check_kinds(plan, kinds, cast("Launcher", workers), PHASES) == 2.5
    assert workers.checked == [jobs[number].job.overrides for number in (0, 2, 4, 6)]
