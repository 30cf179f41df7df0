from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from expt.config.hashes import variant_hash
from expt.record.phases import Phases
from expt.sweep.checking import check_kinds
from expt.sweep.worker import Checked
from expt.sweep.workers import Ended, Workers
from sweep.sweep_helpers import composed, planned

PHASES = Phases(Console(quiet=True))


class _Measured:
    """Workers that measure what a job is said to take."""

    number = 1

    def __init__(self, seconds: Callable[[dict[str, Any]], float]) -> None:
        self.checked: list[int] = []
        self._seconds, self._ended = seconds, list[Ended]()

    def submit(
        self,
        number: int,
        _function: object,
        job: Any,
        is_measured: bool,
        _code: object,
        *,
        threads: int,
    ) -> None:
        assert threads == job.config["loop"]["threads"]
        self.checked.append(number)
        seconds = self._seconds(job.config) if is_measured else None
        self._ended.append(Ended(number, Checked(seconds=seconds)))

    def next(self, _seconds: float) -> Ended:
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
    assert check_kinds(plan, kinds, cast("Workers", workers), PHASES) == 3.0
    assert workers.checked == [0]


def test_each_job_counts_with_the_seconds_of_its_size(tmp_path: Path) -> None:
    jobs = composed("loop.epochs=1,4", "act=relu,tanh", "seed=0,1")
    plan = planned(tmp_path, jobs)
    kinds = {number: variant_hash(one.job.config, "d", "c") for number, one in enumerate(jobs)}
    workers = _Measured(lambda config: float(config["loop"]["epochs"]))
    assert check_kinds(plan, kinds, cast("Workers", workers), PHASES) == 2.5  # of four 1, of four 4
    assert workers.checked == [0, 2, 4, 6]
