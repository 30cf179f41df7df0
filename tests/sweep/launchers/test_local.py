"""Worker processes: real ones, which start TensorFlow, with small functions."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow_helpers import until

import ready_processes
from expt.sweep.launchers import Task, TaskEnded, TaskStarted, local
from expt.sweep.launchers.local import LocalLauncher
from expt.train.data_loading import DataLoader
from sweep import called

_LONGEST = 120.0  # seconds


def start(num_workers: int | None = 1, num_jobs: int | None = 4) -> LocalLauncher:
    return LocalLauncher(num_jobs=num_jobs, num_workers=num_workers, load=DataLoader())


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalLauncher]:
    """A single one, so that what comes after what is known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "environments", lambda *_: [{"MARKED": "yes"}])
        patch.setattr(local, "usable_cores", lambda: 3)
        made = start()
        yield made
        made.close()


def ends(workers: LocalLauncher, count: int) -> dict[int, TaskEnded]:
    """The ends of some calls by their numbers, each after its beginning."""
    began, ended, deadline = set[int](), dict[int, TaskEnded](), time.monotonic() + _LONGEST
    while len(ended) < count:
        assert time.monotonic() < deadline
        event = workers.next_event(0.1)
        if isinstance(event, TaskStarted):
            began.add(event.number)
        elif event is not None:
            assert event.number in began
            assert event.number not in ended
            ended[event.number] = event
    return ended


def value(workers: LocalLauncher) -> dict[str, object]:
    """What the process is like that is free now."""
    workers.submit(Task(called.describe, number=99))
    described = ends(workers, 1)[99].value
    assert isinstance(described, dict)
    return described


def test_results_come_with_their_numbers(workers: LocalLauncher) -> None:
    for number in range(5):
        workers.submit(Task(called.add, (number, 100), number=10 + number))
    ended = ends(workers, 5)
    assert [ended[10 + n].value for n in range(5)] == [100, 101, 102, 103, 104]
    assert list(ended) == [10, 11, 12, 13, 14]
    assert all(event.error is None for event in ended.values())
    assert workers.is_idle
    assert workers.next_event(0.0) is None


def test_the_process_is_one_of_its_own_with_all_threads_and_tensorflow(
    workers: LocalLauncher,
) -> None:
    first = value(workers)
    assert first == {
        "process": first["process"],
        "session": first["process"],
        "threads": 2,
        "operations": 3,
        "marked": "yes",
        "has_tensorflow": True,
    }
    assert first["process"] != os.getpid()
    assert value(workers) == first  # the same one serves call after call


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (called.fail, "LookupError: no such thing"),
        (called.leave, "SystemExit: no more"),
        (called.return_a_lock, "cannot pickle"),
    ],
)
def test_what_keeps_a_call_from_a_result_is_told_and_its_process_lives(
    workers: LocalLauncher, function: object, error: str
) -> None:
    assert callable(function)
    before = value(workers)
    workers.submit(Task(function, number=1))
    (event,) = ends(workers, 1).values()
    assert event.value is None
    assert error in str(event.error)
    assert value(workers) == before


def test_a_call_gets_a_process_with_the_threads_that_it_needs(workers: LocalLauncher) -> None:
    before = value(workers)
    described = {}
    for number, threads in enumerate((2, 4, 4, None)):
        workers.submit(Task(called.describe, threads=threads, number=number))
        described[number] = ends(workers, 1)[number].value
    assert [described[n]["threads"] for n in range(4)] == [2, 4, 4, 4]
    assert described[0] == before
    assert described[1] == described[2] == described[3]
    assert described[1]["process"] != before["process"]


def test_a_process_that_is_killed_takes_its_call_alone(
    workers: LocalLauncher, tmp_path: Path
) -> None:
    before, file = value(workers), tmp_path / "go"
    workers.submit(Task(called.wait_for, (file,), number=1))
    workers.submit(Task(called.add, (1, 1), number=2))
    until(file.with_suffix(".process").exists)
    process = int(file.with_suffix(".process").read_text())
    assert process == before["process"]
    os.kill(process, signal.SIGKILL)
    ended = ends(workers, 2)
    assert ended[1] == TaskEnded(1, error="its process was killed by SIGKILL")
    assert ended[2] == TaskEnded(2, value=2)
    after = value(workers)
    assert after["process"] != before["process"]
    assert {**after, "process": 0, "session": 0} == {**before, "process": 0, "session": 0}


def test_a_cancelled_task_is_ended_at_once_and_no_other(
    workers: LocalLauncher, tmp_path: Path
) -> None:
    workers.submit(Task(called.wait_for, (tmp_path / "never",), number=1))
    workers.submit(Task(called.wait_for, (tmp_path / "there",), number=2))
    (tmp_path / "there").touch()
    until((tmp_path / "never.process").exists)
    workers.cancel(2)  # waits
    workers.cancel(1)
    ended = ends(workers, 2)
    assert ended[1] == TaskEnded(1, error="its process was killed by SIGKILL")
    assert ended[2] == TaskEnded(2, value="found")
    assert not psutil.pid_exists(int((tmp_path / "never.process").read_text()))


# These end the module's workers: no more calls begin.


def test_once_held_the_call_under_way_ends_and_no_more_begin(
    workers: LocalLauncher, tmp_path: Path
) -> None:
    file = tmp_path / "go"
    workers.submit(Task(called.wait_for, (file,), number=1))
    until(file.with_suffix(".process").exists)
    workers.submit(Task(called.add, (1, 1), number=2))
    workers.hold()
    assert not workers.is_idle
    file.touch()
    assert ends(workers, 1) == {1: TaskEnded(1, value="found")}
    assert workers.is_idle


def test_what_is_stopped_can_end_in_its_own_way(tmp_path: Path) -> None:
    workers = start()
    file = tmp_path / "never"
    for number in range(8):
        workers.submit(Task(called.wait_for, (file,), number=number))
    until(file.with_suffix(".process").exists)
    workers.stop()
    assert ends(workers, 1) == {0: TaskEnded(0, value="terminated")}
    workers.close()
    assert workers.next_event(0.0) is None  # what waits is dropped; it would take forever
    assert not psutil.pid_exists(int(file.with_suffix(".process").read_text()))


@pytest.mark.parametrize("is_at_it", [True, False], ids=["in a call", "at its start"])
def test_closing_waits_for_nothing(tmp_path: Path, is_at_it: bool) -> None:
    file = tmp_path / "never"
    before = set(ready_processes.descendants(os.getpid()))
    workers = start()
    workers.submit(Task(called.wait_for, (file,), number=1))
    workers.submit(Task(called.wait_for, (file,), number=2))
    if is_at_it:
        until(file.with_suffix(".process").exists)
    workers.close()
    assert set(ready_processes.descendants(os.getpid())) == before
