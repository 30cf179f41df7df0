"""The local launcher: worker processes on this machine, isolated from each other's crashes."""

import multiprocessing
import os
import queue
import signal
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from expt.config.schema import THREADS
from expt.runs.cores import usable_cores
from expt.runs.parent_process import end_with_parent
from expt.sweep.launchers import Event, Task, TaskEnded, TaskStarted, worker
from expt.sweep.launchers.devices import environments, gpus
from expt.sweep.launchers.fork_context import context, start_server
from expt.train.data_loading import DataLoader

# Bytes by which a worker may grow after its first task, when TensorFlow and the data are loaded. A
# worker that has grown by more is replaced, which frees the memory of all its previous jobs.
_MAX_GROWTH = 2 * 2**30


class LocalLauncher:
    """Worker processes that start immediately, each with its share of the cores.

    If there are GPUs, each worker gets one, which it shares if there are more workers than GPUs.
    If a worker process dies, only its own task fails. The next task then gets a new process. A
    worker is also replaced if it has grown by more than 2 GiB, or if the next task needs a
    different number of threads. One thread per slot waits for the worker of that slot; all threads
    put their events into a single queue.
    """

    def __init__(
        self,
        *,
        num_jobs: int | None,
        num_workers: int | None,
        load: DataLoader,
        threads: int = THREADS,
    ) -> None:
        """Starts the worker processes: one per GPU or core, but no more than there are jobs.

        Args:
            num_jobs: Number of jobs; None if more jobs may follow.
            num_workers: Number of worker processes; None for one per GPU, or one per core if there
                are no GPUs.
            load: Loads the data of jobs; each worker gets a copy.
            threads: Number of threads per TensorFlow operation, unless a task needs a different
                number.
        """
        devices, num_cores = gpus(), usable_cores()
        number = num_workers or len(devices) or num_cores
        self._num_slots = number if num_jobs is None else min(number, num_jobs)
        self._operations = max(1, num_cores // max(1, self._num_slots))
        self._load, self._first_threads = load, threads
        # Workers are killed and never exit normally, so libraries can't remove their temporary
        # files. They get a common folder that the launcher removes.
        self._temporary = tempfile.TemporaryDirectory(prefix="expt-sweep-")
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._is_holding = self._is_closed = False
        self._running: dict[int, tuple[int, int]] = {}  # slot -> (task number, process id)
        self._futures: dict[int, ProcessFuture[Any]] = {}  # slot -> future of its latest call
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._serve,
                args=(slot, {**environment, "TMPDIR": self._temporary.name}),
                daemon=True,
            )
            for slot, environment in enumerate(environments(self._num_slots, devices))
        ]
        start_server()
        for thread in self._threads:
            thread.start()

    @property
    def num_slots(self) -> int:
        """Number of tasks that run at the same time."""
        return self._num_slots

    @property
    def is_idle(self) -> bool:
        """Whether no task is running and `next_event` has returned all events."""
        # A task leaves `_running` and puts its last event under the same lock. Without the lock,
        # there would be a moment between the two in which neither is visible.
        with self._lock:
            return not self._running and self._events.empty()

    def submit(self, task: Task) -> None:
        """Queues a task, which runs as soon as a worker is free."""
        self._tasks.put(task)

    def next_event(self, seconds: float) -> Event | None:
        """Waits up to `seconds` for the next event and returns it; None if there is none."""
        with suppress(queue.Empty):
            return self._events.get(timeout=seconds)
        return None

    def cancel(self, number: int) -> None:
        """Kills the worker process of a running task."""
        with self._lock:
            for running, process in self._running.values():
                if running == number:
                    _send(process, signal.SIGKILL)

    def hold(self) -> None:
        """Starts no further tasks."""
        with self._lock:
            self._is_holding = True

    def stop(self) -> None:
        """Starts no further tasks, and sends SIGTERM to the workers that are running one."""
        with self._lock:
            self._is_holding = True
            for _, process in self._running.values():
                _send(process, signal.SIGTERM)

    def close(self) -> None:
        """Kills all workers, waits for the threads, and removes the temporary folder."""
        with self._lock:
            self._is_holding = self._is_closed = True
            for future in self._futures.values():
                future.cancel()  # type: ignore[no-untyped-call]
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._temporary.cleanup()

    def _serve(self, slot: int, environment: Mapping[str, str]) -> None:
        """Runs queued tasks in the worker of a slot, replacing the worker when necessary."""
        threads, smallest = self._first_threads, 0
        pool = self._start(threads, environment)
        while (task := self._tasks.get()) is not None:
            if self._is_holding:
                continue
            if task.threads not in (None, threads):
                # TensorFlow fixes its thread pools when it starts; they can't be resized.
                _kill(pool)
            if not pool.active:
                threads, smallest = task.threads or threads, 0
                pool = self._start(threads, environment)
            ended, memory = self._run(slot, pool, task)
            with self._lock:
                self._running.pop(slot, None)
                self._events.put(ended)
            smallest = smallest or memory
            if memory > smallest + _MAX_GROWTH:
                _kill(pool)
        _kill(pool)

    def _start(self, threads: int, environment: Mapping[str, str]) -> ProcessPool:
        """Starts a worker process.

        Each slot has its own pool with a single process: the processes of one pool would share the
        environment, and thus the GPU, and it would be unknown which of them runs a task.
        """
        pool = ProcessPool(
            1,
            initializer=_initialize,
            initargs=(threads, self._operations, dict(environment), self._load),
            context=context(),
        )
        pool.schedule(os.getpid)  # pebble starts a pool's process at its first call
        return pool

    def _run(self, slot: int, pool: ProcessPool, task: Task) -> tuple[TaskEnded, int]:
        """Runs a task.

        Returns:
            The event that the task has ended, and the memory of the worker in bytes; 0 if the
            worker has died.
        """
        try:
            # The process id also shows that the worker is ready: its initializer, which imports
            # TensorFlow, has run. A task's time limit starts only now.
            process = self._wait(slot, pool.schedule(os.getpid))
            with self._lock:
                if self._is_holding:
                    return TaskEnded(task.number), 0
                self._running[slot] = task.number, process
                self._events.put(TaskStarted(task.number))
                future = pool.schedule(task.function, task.arguments)
                self._futures[slot] = future
            return TaskEnded(task.number, future.result()), _memory(process)
        except ProcessExpired as expired:
            reason = _exit_reason(expired.exitcode)
        # For example, the process could not be started. SystemExit: the task's function has exited.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            reason = f"{type(error).__name__}: {error}"
        return TaskEnded(task.number, error=reason), 0

    def _wait(self, slot: int, future: "ProcessFuture[Any]") -> Any:
        """Returns the result of a call; raises if `close` cancels the call."""
        with self._lock:
            self._futures[slot] = future
            if self._is_closed:
                future.cancel()  # type: ignore[no-untyped-call]
        return future.result()


def _initialize(
    threads: int, operations: int, environment: Mapping[str, str], load: DataLoader
) -> None:
    """Prepares a worker process, and makes it end together with its parent."""
    # A new session: a terminal sends Ctrl-C to the whole group, so that workers would get a SIGINT
    # in addition to the SIGTERM from `stop`.
    os.setsid()
    parent = multiprocessing.parent_process()
    assert parent is not None
    end_with_parent(parent.join)
    worker.prepare(threads, operations, environment, load)


def _send(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _memory(process: int) -> int:
    """Returns the resident memory of a process in bytes; 0 if it has already ended."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process).memory_info().rss
    return 0


def _kill(pool: ProcessPool) -> None:
    """Kills the worker process of a pool and waits for its end."""
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _exit_reason(code: int) -> str:
    """Describes how a process ended, by its exit code; negative codes are signals."""
    if code >= 0:
        return f"its process ended with code {code}"
    with suppress(ValueError):
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process was killed by signal {-code}"
