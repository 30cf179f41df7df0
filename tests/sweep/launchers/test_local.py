"""Tests of the local launcher, with real worker processes that run small functions."""

import os
import re
import signal
import subprocess
import sys
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
from sweep import worker_functions

_LONGEST = 120.0  # time limit of a test in seconds


def start(num_workers: int | None = 1, num_jobs: int | None = 4) -> LocalLauncher:
    return LocalLauncher(num_jobs=num_jobs, num_workers=num_workers, load=DataLoader())


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalLauncher]:
    """A launcher with a single worker, so that the order of tasks is known."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "environments", lambda *_: [{"MARKED": "yes"}])
        patch.setattr(local, "usable_cores", lambda: 3)
        made = start()
        yield made
        made.close()


def ends(workers: LocalLauncher, count: int) -> dict[int, TaskEnded]:
    """Waits for tasks to end; returns task number -> event, and checks that each has started."""
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
    """Returns the settings of the worker process."""
    workers.submit(Task(worker_functions.describe, number=99))
    described = ends(workers, 1)[99].value
    assert isinstance(described, dict)
    return described


def test_results_have_task_numbers(workers: LocalLauncher) -> None:
    for number in range(5):
        workers.submit(Task(worker_functions.add, (number, 100), number=10 + number))
    ended = ends(workers, 5)
    assert [ended[10 + n].value for n in range(5)] == [100, 101, 102, 103, 104]
    assert list(ended) == [10, 11, 12, 13, 14]
    assert all(event.error is None for event in ended.values())
    assert workers.is_idle
    assert workers.next_event(0.0) is None


def test_worker_is_separate_process_with_threads_and_tensorflow(
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
    assert value(workers) == first  # the same process runs task after task


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (worker_functions.fail, "LookupError: no such thing"),
        (worker_functions.leave, "SystemExit: no more"),
        (worker_functions.return_a_lock, "cannot pickle"),
    ],
)
def test_errors_are_reported_and_worker_survives(
    workers: LocalLauncher, function: object, error: str
) -> None:
    assert callable(function)
    before = value(workers)
    workers.submit(Task(function, number=1))
    (event,) = ends(workers, 1).values()
    assert event.value is None
    assert error in str(event.error)
    assert value(workers) == before


def test_task_gets_worker_with_needed_threads(workers: LocalLauncher) -> None:
    before = value(workers)
    described = {}
    for number, threads in enumerate((2, 4, 4, None)):
        workers.submit(Task(worker_functions.describe, threads=threads, number=number))
        described[number] = ends(workers, 1)[number].value
    assert [described[n]["threads"] for n in range(4)] == [2, 4, 4, 4]
    assert described[0] == before
    assert described[1] == described[2] == described[3]
    assert described[1]["process"] != before["process"]


def test_killed_worker_fails_only_its_own_task(workers: LocalLauncher, tmp_path: Path) -> None:
    before, file = value(workers), tmp_path / "go"
    workers.submit(Task(worker_functions.wait_for, (file,), number=1))
    workers.submit(Task(worker_functions.add, (1, 1), number=2))
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


def test_only_the_cancelled_task_is_killed(workers: LocalLauncher, tmp_path: Path) -> None:
    workers.submit(Task(worker_functions.wait_for, (tmp_path / "never",), number=1))
    workers.submit(Task(worker_functions.wait_for, (tmp_path / "there",), number=2))
    (tmp_path / "there").touch()
    until((tmp_path / "never.process").exists)
    workers.cancel(2)  # it is queued, so this has no effect
    workers.cancel(1)
    ended = ends(workers, 2)
    assert ended[1] == TaskEnded(1, error="its process was killed by SIGKILL")
    assert ended[2] == TaskEnded(2, value="found")
    assert not psutil.pid_exists(int((tmp_path / "never.process").read_text()))


# The following test stops the launcher of this module, so it must be the last one to use it.


def test_hold_finishes_running_task_and_starts_no_more(
    workers: LocalLauncher, tmp_path: Path
) -> None:
    file = tmp_path / "go"
    workers.submit(Task(worker_functions.wait_for, (file,), number=1))
    until(file.with_suffix(".process").exists)
    workers.submit(Task(worker_functions.add, (1, 1), number=2))
    workers.hold()
    assert not workers.is_idle
    file.touch()
    assert ends(workers, 1) == {1: TaskEnded(1, value="found")}
    assert workers.is_idle


def test_stopped_task_can_handle_sigterm(tmp_path: Path) -> None:
    workers = start()
    file = tmp_path / "never"
    for number in range(8):
        workers.submit(Task(worker_functions.wait_for, (file,), number=number))
    until(file.with_suffix(".process").exists)
    workers.stop()
    assert ends(workers, 1) == {0: TaskEnded(0, value="terminated")}
    workers.close()
    assert workers.next_event(0.0) is None  # queued tasks are dropped; they would never end
    assert not psutil.pid_exists(int(file.with_suffix(".process").read_text()))


@pytest.mark.parametrize("is_in_task", [True, False], ids=["in a task", "while starting"])
def test_close_does_not_wait_for_tasks(tmp_path: Path, is_in_task: bool) -> None:
    file = tmp_path / "never"
    before = set(ready_processes.descendants(os.getpid()))
    workers = start()
    workers.submit(Task(worker_functions.wait_for, (file,), number=1))
    workers.submit(Task(worker_functions.wait_for, (file,), number=2))
    if is_in_task:
        until(file.with_suffix(".process").exists)
    workers.close()
    assert set(ready_processes.descendants(os.getpid())) == before


# The processes of the other tests are forks of the test suite's own server.
_REAL = """
import os, signal, sys
from expt.sweep.launchers import Task, TaskEnded
from expt.sweep.launchers.local import LocalLauncher
from expt.train.data_loading import DataLoader

launcher = LocalLauncher(num_jobs=2, num_workers=2, load=DataLoader())
for number in range(2):
    launcher.submit(Task(os.getppid, number=number))
ended = []
while len(ended) < 2:
    event = launcher.next_event(1.0)
    if isinstance(event, TaskEnded):
        ended.append(event.value)
    assert event is None or getattr(event, "error", None) is None, event
print(*ended, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_are_forks_of_one_server_that_ends_with_its_parent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _REAL], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    # Python's own tracker of resources may warn; TensorFlow's messages go to the log.
    assert not re.search("tensorflow|cuda|absl", done.stderr, re.IGNORECASE), done.stderr
    server, other = map(int, done.stdout.split())
    assert server == other
    until(lambda: not psutil.pid_exists(server))
