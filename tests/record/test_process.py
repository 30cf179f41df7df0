import os
import signal
from pathlib import Path

import pytest
from record_helpers import Remote, make_run

from expt.record.process import SeparateProcess, SinkError
from expt.record.recorder import Scalars
from expt.record.run import Status


@pytest.fixture(autouse=True)
def _sink_can_be_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def test_calls_reach_another_process_and_its_facts_come_back(tmp_path: Path) -> None:
    process = SeparateProcess(Remote)
    for expected in ([1, 2], [3]):
        run = make_run(tmp_path)
        process.open(run)
        for step in expected:
            process.write(Scalars.single(step, 1, {"train/loss": 1.0}))
        process.close(Status.FINISHED)
        assert run.record["opened_in"] not in (os.getpid(), None)
        assert run.record["steps"] == expected
        assert run.record["closed_as"] == "FINISHED"
    process.stop()


def test_what_the_sink_raises_is_raised_here_with_its_traceback(tmp_path: Path) -> None:
    process = SeparateProcess(Remote)
    process.open(make_run(tmp_path))
    with pytest.raises(SinkError, match="ValueError: a negative step") as raised:
        process.write(Scalars.single(-1, 1, {}))
    assert "in write" in raised.value.__notes__[0]
    process.close(Status.FAILED)
    process.stop()


def test_signals_for_the_group_leave_the_sink_alone(tmp_path: Path) -> None:
    process, run = SeparateProcess(Remote), make_run(tmp_path)
    process.open(run)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(run.record["opened_in"], number)
    process.close(Status.KILLED)
    assert run.record["closed_as"] == "KILLED"
    process.stop()


def test_dead_process_is_an_error_not_a_hang(tmp_path: Path) -> None:
    process, run = SeparateProcess(Remote), make_run(tmp_path)
    process.open(run)
    os.kill(run.record["opened_in"], signal.SIGKILL)
    with pytest.raises((EOFError, BrokenPipeError)):
        process.close(Status.KILLED)
    process.stop()
