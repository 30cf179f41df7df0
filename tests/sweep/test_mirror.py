"""Tests that mirrors of runs survive a stuck or dead process, with a stand-in for MLflow."""

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from record_helpers import Witness, extra

from expt.config.job import ComposedJob
from expt.record import process
from expt.runs.record_parts import JobStatus
from expt.runs.records import RunRecord
from expt.sweep import mirror
from expt.sweep.mirror import JobMirrors
from expt.sweep.plan import SweepPlan
from sweep.sweep_helpers import composed, planned


class Stuck(Witness):
    """A follower that never returns for a run with `hangs` in its record."""

    def close(self, record: RunRecord) -> str | None:
        hangs = extra(record, "hangs")
        # As MLflow's follower does before each request.
        self._listener.extend_deadline(0.5 if hangs else 60.0)
        if hangs:
            threading.Event().wait()
        return super().close(record)


@pytest.fixture(scope="module")
def jobs() -> Sequence[ComposedJob]:
    return composed("act=relu,tanh,elu", "recorder=mlflow")


@pytest.fixture
def plan(tmp_path: Path, jobs: Sequence[ComposedJob], monkeypatch: pytest.MonkeyPatch) -> SweepPlan:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", "tests", "tests/record"]))
    monkeypatch.setattr(mirror, "make_follower", Stuck)
    monkeypatch.setattr(mirror, "prepare", gc.collect)
    monkeypatch.setattr(mirror, "_SECONDS_BETWEEN_STARTS", 0.0)
    monkeypatch.setattr(process, "_SECONDS_WITHOUT_ANSWER", 1.0)
    plan = planned(tmp_path / "sweep", jobs)
    plan.update(status="RUNNING", ended=None)
    return plan


def write(plan: SweepPlan, number: int, status: str, **record: Any) -> None:
    directory, own = plan.jobs[number].directory, process_of_this()
    content = {"status": status, "started": time.time(), "process": own, **record}
    (directory / "run.json").write_text(json.dumps(content))


def process_of_this() -> dict[str, Any]:
    from expt.runs.environment import process as described

    return described()


def read(plan: SweepPlan, number: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((plan.jobs[number].directory / "run.json").read_text())
    return content


def until(is_so: Any, mirrored: JobMirrors) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        mirrored.advance()
        time.sleep(0.02)


def end_all(plan: SweepPlan, mirrored: JobMirrors, numbers: Sequence[int] = (0, 1, 2)) -> None:
    for number in numbers:
        write(plan, number, "FINISHED", hangs=read(plan, number).get("hangs"))
        plan.set_status(plan.jobs[number], JobStatus.FINISHED)
        mirrored.end(plan.jobs[number])


def test_stuck_request_delays_only_its_own_run(plan: SweepPlan) -> None:
    for number in range(3):
        write(plan, number, "RUNNING", hangs=number == 0)
    mirrored = JobMirrors(plan)
    for job in plan.jobs:
        mirrored.follow(job)
    end_all(plan, mirrored)
    until(lambda: read(plan, 1).get("closed") and read(plan, 2).get("closed"), mirrored)
    plan.update(status="FINISHED", ended=time.time())
    assert mirrored.finish() in (
        "no answer from the mlflow process",
        "the mlflow process has ended",
    )
    assert [read(plan, number).get("closed", False) for number in range(3)] == [False, True, True]


def test_runs_of_dead_process_are_mirrored_by_new_process(plan: SweepPlan) -> None:
    for number in range(3):
        write(plan, number, "RUNNING")
    mirrored = JobMirrors(plan)
    mirrored.follow(plan.jobs[0])
    run = mirrored._runs[plan.jobs[0].directory.name].run
    until(lambda: extra(run.record, "looks"), mirrored)
    first = extra(run.record, "opened_in")
    assert extra(run.record, "was_resumed") is False
    os.kill(first, signal.SIGKILL)
    until(lambda: extra(run.record, "opened_in") != first, mirrored)
    # A resumed run is compared with the values that are already mirrored.
    assert extra(run.record, "was_resumed") is True
    end_all(plan, mirrored)
    plan.update(status="FINISHED", ended=time.time())
    assert mirrored.finish() is None
    assert [read(plan, number)["closed"] for number in range(3)] == [True] * 3


def test_process_that_dies_at_the_end_is_replaced(plan: SweepPlan) -> None:
    for number in range(3):
        write(plan, number, "RUNNING")
    mirrored = JobMirrors(plan)
    assert mirrored._process is not None
    end_all(plan, mirrored)
    mirrored._process.kill()
    plan.update(status="FINISHED", ended=time.time())
    assert mirrored.finish() is None
    assert [read(plan, number)["closed"] for number in range(3)] == [True] * 3
