"""The local launcher: worker processes on this machine, which can die alone."""

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
from expt.sweep.launchers import Began, Ended, Event, Task, worker
from expt.sweep.launchers.devices import environments, gpus
from expt.train.data_loading import DataLoader

_GROWTH = 2 * 2**30  # bytes that a process may take more than after its first task


class LocalLauncher:
    """Processes that start at once, each with its share of the cores and its own GPU.

    A process that dies takes its task with it and no other. The next task gets a new process, also
    if the old one has grown by two GiB or has another number of threads than the task needs. A
    thread for each slot waits for its process; the events of all go through one queue.
    """

    def __init__(
        self,
        *,
        num_jobs: int | None,
        num_workers: int | None,
        load: DataLoader,
        threads: int = THREADS,
    ) -> None:
        """Starts the processes, one for each GPU or core unless there are fewer jobs.

        Args:
            num_jobs: How many jobs there are; None if more may come.
            num_workers: How many of them run at once; None for as many as there are GPUs or cores.
            load: Loads the data of jobs; each process has a copy.
            threads: Of a TensorFlow operation, unless a task needs another number.
        """
        devices, num_cores = gpus(), usable_cores()
        number = num_workers or len(devices) or num_cores
        self._num_slots = number if num_jobs is None else min(number, num_jobs)
        self._operations = max(1, num_cores // max(1, self._num_slots))
        self._load, self._first_threads = load, threads
        # What libraries leave there would stay, for the processes are killed and do not exit.
        self._temporary = tempfile.TemporaryDirectory(prefix="expt-sweep-")
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._is_holding = self._is_closed = False
        self._running: dict[int, tuple[int, int]] = {}  # number of the task and process id by slot
        self._futures: dict[int, ProcessFuture[Any]] = {}  # of the last call by slot
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(
                target=self._serve,
                args=(slot, {**environment, "TMPDIR": self._temporary.name}),
                daemon=True,
            )
            for slot, environment in enumerate(environments(self._num_slots, devices))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def num_slots(self) -> int:
        """How many tasks run at once."""
        return self._num_slots

    @property
    def is_idle(self) -> bool:
        """Whether no task is running and all events have been taken."""
        with self._lock:
            return not self._running and self._events.empty()

    def submit(self, task: Task) -> None:
        """Runs a task as soon as a process is free."""
        self._tasks.put(task)

    def next_event(self, seconds: float) -> Event | None:
        """Returns the next event, or None if there is none within some seconds."""
        with suppress(queue.Empty):
            return self._events.get(timeout=seconds)
        return None

    def cancel(self, number: int) -> None:
        """Kills the process of a running task."""
        with self._lock:
            for running, process in self._running.values():
                if running == number:
                    _send(process, signal.SIGKILL)

    def hold(self) -> None:
        """Starts no more tasks."""
        with self._lock:
            self._is_holding = True

    def stop(self) -> None:
        """Starts no more tasks, and sends SIGTERM to the processes that run one."""
        with self._lock:
            self._is_holding = True
            for _, process in self._running.values():
                _send(process, signal.SIGTERM)

    def close(self) -> None:
        """Kills the processes."""
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
        threads, smallest = self._first_threads, 0
        pool = self._start(threads, environment)
        while (task := self._tasks.get()) is not None:
            if self._is_holding:
                continue
            if task.threads not in (None, threads):
                _kill(pool)
            if not pool.active:
                threads, smallest = task.threads or threads, 0
                pool = self._start(threads, environment)
            ended, memory = self._run(slot, pool, task)
            with self._lock:
                self._running.pop(slot, None)
                self._events.put(ended)
            smallest = smallest or memory
            if memory > smallest + _GROWTH:
                _kill(pool)
        _kill(pool)

    def _start(self, threads: int, environment: Mapping[str, str]) -> ProcessPool:
        """Starts a process."""
        pool = ProcessPool(
            1,
            initializer=_begin,
            initargs=(threads, self._operations, dict(environment), self._load),
            context=multiprocessing.get_context("spawn"),
        )
        pool.schedule(os.getpid)  # a pool starts with its first call
        return pool

    def _run(self, slot: int, pool: ProcessPool, task: Task) -> tuple[Ended, int]:
        """Returns how a task has ended, and the memory of its process then."""
        try:
            process = self._wait(slot, pool.schedule(os.getpid))
            with self._lock:
                if self._is_holding:
                    return Ended(task.number), 0
                self._running[slot] = task.number, process
                self._events.put(Began(task.number))
                future = pool.schedule(task.function, task.arguments)
                self._futures[slot] = future
            return Ended(task.number, future.result()), _memory(process)
        except ProcessExpired as expired:
            death = _how_it_died(expired.exitcode)
        # Such as a process that can't be started; SystemExit comes from a function that exits.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            death = f"{type(error).__name__}: {error}"
        return Ended(task.number, death=death), 0

    def _wait(self, slot: int, future: "ProcessFuture[Any]") -> Any:
        """Returns the result of a call; `close` ends it with an error."""
        with self._lock:
            self._futures[slot] = future
            if self._is_closed:
                future.cancel()  # type: ignore[no-untyped-call]
        return future.result()


def _begin(threads: int, operations: int, environment: Mapping[str, str], load: DataLoader) -> None:
    """Prepares a process; it ends with its parent."""
    os.setsid()  # a Ctrl-C is for the parent, which passes it on once
    parent = multiprocessing.parent_process()
    assert parent is not None
    end_with_parent(parent.join)
    worker.prepare(threads, operations, environment, load)


def _send(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _memory(process: int) -> int:
    """Returns the bytes that a process has in memory; none if it has ended by now."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process).memory_info().rss
    return 0


def _kill(pool: ProcessPool) -> None:
    """Kills a process."""
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    with suppress(ValueError):
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process was killed by signal {-code}"
