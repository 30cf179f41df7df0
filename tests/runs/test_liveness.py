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


def test_this_process_lives() -> None:
    assert is_alive(record()) is True
    assert status_of(record()) == "RUNNING"


def test_a_start_is_compared_within_a_second() -> None:
    started = process()["started"]
    assert is_alive(record(started=started + 0.9)) is True
    assert is_alive(record(started=started - 0.9)) is True
    assert is_alive(record(started=started + 1.1)) is False
    assert is_alive(record(started=started - 1.1)) is False


def test_another_process_with_its_number_is_not_it() -> None:
    assert status_of(record(started=0.0)) == "KILLED"


def test_a_killed_process_is_dead_before_and_after_it_is_waited_for() -> None:
    code = (
        "import json; from expt.runs.environment import process;"
        "print(json.dumps(process()), flush=True); input()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdout is not None
        told = RunRecord.of({"process": json.loads(child.stdout.readline())})
        assert is_alive(told) is True
        child.kill()
        while child.stdout.read():  # its end closes the pipe
            pass
        while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
            pass
        assert is_alive(told) is False
    assert is_alive(told) is False
    assert status_of(told) == "KILLED"


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
def test_what_cannot_be_told(given: dict[str, Any]) -> None:
    assert is_alive(RunRecord.of(given)) is None
    assert status_of(RunRecord.of({"status": "RUNNING", **given})) == "RUNNING"


@pytest.mark.parametrize("number", [-1, 10**6 * 9, 2**70])
def test_numbers_that_no_process_has(number: int) -> None:
    there = {"host": platform.node(), "id": number, "started": 0.0}
    assert is_alive(RunRecord.of({"process": there})) is False


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_closed_run_keeps_its_status(status: str) -> None:
    assert status_of(record(started=0.0).updated({"status": status})) == status
