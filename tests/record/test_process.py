import gc
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from record_helpers import Witness, extra, make_run

from expt.record.process import ProcessRecorder
from expt.runs.run import Run, Status


@pytest.fixture(autouse=True)
def _follower_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["src", str(Path(__file__).parent)]))


def _make() -> ProcessRecorder:
    # `gc.collect` stands for `prepare`: any function that pickle finds by name will do.
    return ProcessRecorder(
        Witness, "witness", lambda run, _failure: f"Fix {run.directory.name}.", gc.collect
    )


def _wait_until_followed(run: Run, looks: int = 1) -> None:
    deadline = time.monotonic() + 60
    while (extra(run.record, "looks") or 0) < looks:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _close(process: ProcessRecorder, run: Run, status: Status) -> float:
    """Closes a run as the training loop does, and returns the duration in seconds."""
    begun = time.monotonic()
    run.update(status=status)
    process.close(status)
    return time.monotonic() - begun


def test_follower_runs_in_another_process_and_updates_the_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = _make()
    for is_resumed in (False, True):
        run = make_run(tmp_path)
        run.is_resumed = is_resumed
        process.open(run)
        _wait_until_followed(run, looks=2)
        _close(process, run, Status.FINISHED)
        assert extra(run.record, "opened_in") not in (os.getpid(), None)
        assert extra(run.record, "was_resumed") is is_resumed
        assert extra(run.record, "closed_as") == "FINISHED"
    process.stop()
    logged = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert logged == [(logging.WARNING, "witness: a word of warning")] * 2


def test_incomplete_run_is_reported_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process, run = _make(), make_run(tmp_path)
    process.open(run)
    run.update(behaviour="refuse")
    _close(process, run, Status.FINISHED)
    process.stop()
    text = f"witness: incomplete: it would not. Fix {tmp_path.name}."
    assert caplog.messages[-1] == text


def test_child_ignores_signals_of_the_process_group(tmp_path: Path) -> None:
    process, run = _make(), make_run(tmp_path)
    process.open(run)
    _wait_until_followed(run)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(extra(run.record, "opened_in"), number)
    _close(process, run, Status.KILLED)
    assert extra(run.record, "closed_as") == "KILLED"
    process.stop()


@pytest.mark.parametrize(
    ("status", "least", "most"), [(Status.FINISHED, 4.5, 7.0), (Status.KILLED, 2.5, 4.5)]
)
def test_hanging_child_is_killed_and_replaced_for_the_next_run(
    status: Status, least: float, most: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process, run = _make(), make_run(tmp_path)
    process.open(run)
    _wait_until_followed(run)
    process._child._deadline = 0.0  # the time allowed for its start is over
    run.update(behaviour="hang")
    assert least < _close(process, run, status) < most
    assert "witness: incomplete: no answer" in caplog.messages[-1]
    other = make_run(tmp_path)
    process.open(other)
    _close(process, other, Status.FINISHED)
    assert extra(other.record, "closed_as") == "FINISHED"
    assert extra(other.record, "opened_in") != extra(run.record, "opened_in")
    process.stop()


@pytest.mark.parametrize("status", [Status.FINISHED, Status.KILLED])
def test_close_waits_for_a_child_that_extends_its_deadline(
    status: Status, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if the run was stopped, so that a healthy store is never reported as incomplete."""
    process, run = _make(), make_run(tmp_path)
    run.record = run.record.updated({"recovers": status is Status.KILLED})
    process.open(run)
    _wait_until_followed(run)
    process._child._deadline = 0.0
    run.update(behaviour="work")
    assert _close(process, run, status) > 7
    assert "incomplete" not in caplog.text
    process.stop()


def test_failing_child_of_a_stopped_run_is_killed_soon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process, run = _make(), make_run(tmp_path)
    process.open(run)
    _wait_until_followed(run)
    run.update(behaviour="work")
    assert _close(process, run, Status.KILLED) < 4.5
    assert "incomplete: no answer" in caplog.messages[-1]
    process.stop()


def test_dead_child_is_reported_and_replaced_for_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process, run = _make(), make_run(tmp_path)
    process.open(run)
    _wait_until_followed(run)
    os.kill(extra(run.record, "opened_in"), signal.SIGKILL)
    assert _close(process, run, Status.FINISHED) < 2
    assert "witness: incomplete: the witness process has ended" in caplog.messages[-1]
    other = make_run(tmp_path)
    process.open(other)
    _close(process, other, Status.FINISHED)
    assert extra(other.record, "closed_as") == "FINISHED"
    process.stop()


def test_child_ends_with_a_killed_parent(tmp_path: Path) -> None:
    code = f"""
import gc
import time
from pathlib import Path
from record_helpers import Witness, extra, make_run
from expt.record.process import ProcessRecorder
process = ProcessRecorder(Witness, "witness", str, gc.collect)
run = make_run(Path({str(tmp_path)!r}))
process.open(run)
while extra(run.record, "looks") is None: time.sleep(0.01)
run.update(status="FINISHED", behaviour="hang")
print(extra(run.record, "opened_in"), flush=True)
process.close(run.record.status)
"""
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) != parent.pid
        parent.kill()
        parent.communicate(timeout=10)  # returns once parent and child have closed the pipe
