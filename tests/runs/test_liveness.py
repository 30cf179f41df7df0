import json
import platform
import subprocess
import sys
from typing import Any

import psutil
import pytest

from expt.runs.environment import process
from expt.runs.liveness import is_alive, status_of
from expt.runs.records import RunRecord


def record(**changes: Any) -> RunRecord:
    return RunRecord.of({"status": "RUNNING", "process": process() | changes})


def test_this_process_is_alive() -> None:
    assert is_alive(record()) is True
    assert status_of(record()) == "RUNNING"


def test_start_times_are_compared_within_one_second() -> None:
    started = process()["started"]
    assert is_alive(record(started=started + 0.9)) is True
    assert is_alive(record(started=started - 0.9)) is True
    assert is_alive(record(started=started + 1.1)) is False
    assert is_alive(record(started=started - 1.1)) is False


def test_other_process_with_same_id_is_not_alive() -> None:
    assert status_of(record(started=0.0)) == "KILLED"


def test_killed_process_is_dead_even_as_zombie() -> None:
    code = (
        "import json; from expt.runs.environment import process;"
        "print(json.dumps(process()), flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdout is not None
        recorded = RunRecord.of({"process": json.loads(child.stdout.readline())})
        assert is_alive(recorded) is True
        child.kill()
        while child.stdout.read():  # the end of the process closes the pipe
            pass
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert is_alive(recorded) is False
    assert is_alive(recorded) is False
    assert status_of(recorded) == "KILLED"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"process": None},
        {"process": {}},
        {"process": {**process(), "host": "elsewhere"}},
        {"process": {**process(), "id": None}},
        {"process": {**process(), "started": None}},
    ],
)
def test_unknown_processes(given: dict[str, Any]) -> None:
    assert is_alive(RunRecord.of(given)) is None
    assert status_of(RunRecord.of({"status": "RUNNING", **given})) == "RUNNING"


@pytest.mark.parametrize("number", [-1, 10**6 * 9, 2**70])
def test_invalid_process_ids_are_not_alive(number: int) -> None:
    there = {"host": platform.node(), "id": number, "started": 0.0}
    assert is_alive(RunRecord.of({"process": there})) is False


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_closed_run_keeps_its_status(status: str) -> None:
    assert status_of(record(started=0.0).updated({"status": status})) == status
