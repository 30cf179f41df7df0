"""The worker processes of a sweep: each trains one job after another, and can die alone."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from pebble import ProcessExpired, ProcessPool

from expt.config.compose import Job
from expt.sweep import worker
from expt.sweep.plan import JobStatus
from expt.sweep.worker import Outcome

_GROWTH = 2 * 2**30  # bytes that a worker may take more than after its first job


@dataclass(frozen=True)
class Task:
    """What a worker gets.

    Attributes:
        number: The job's, in the plan.
        job: The frozen config.
        directory: Of its run.
        earlier: The content of the run.json that an earlier process left.
    """

    number: int
    job: Job
    directory: Path
    earlier: Mapping[str, Any] | None = None


class Workers:
    """As many processes as the machine has room for, each with its share of the threads.

    A process that dies takes its job with it and no other; the next job gets a new one, as it does
    once a process has grown by two GiB.
    """

    def __init__(
        self,
        number: int,
        timeout: float | None,
        begun: Callable[[int], None],
        ended: Callable[[int, Outcome], None],
    ) -> None:
        """Starts nothing yet.

        Args:
            number: How many processes.
            timeout: Seconds that a job may take.
            begun: Is called with the number of each job that begins, on any thread.
            ended: Is called with the number of each job that has ended, and how.
        """
        self._number, self._timeout = number, timeout
        self._begun, self._ended = begun, ended
        self._waiting: SimpleQueue[Task] = SimpleQueue()
        self._is_stopping = False
        self._running: dict[int, int] = {}  # process ids by slot
        self._lock = threading.Lock()

    def run(self, tasks: Sequence[Task]) -> None:
        """Trains all; returns when the last one has ended."""
        for task in tasks:
            self._waiting.put(task)
        number = min(self._number, len(tasks))
        threads = max(1, (os.cpu_count() or 1) // max(1, number))
        with ThreadPoolExecutor(max(1, number)) as executor:
            slots = [executor.submit(self._serve, slot, threads) for slot in range(number)]
            try:
                for slot in slots:
                    slot.result()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Lets no more jobs begin, and ends those that run as a SIGTERM ends a run."""
        self._is_stopping = True
        with self._lock:
            for process in self._running.values():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)

    def _serve(self, slot: int, threads: int) -> None:
        pool: ProcessPool | None = None
        smallest = 0
        try:
            while not self._is_stopping:
                try:
                    task = self._waiting.get_nowait()
                except Empty:
                    break
                if pool is None:
                    pool, smallest = self._pool(threads), 0
                outcome = self._train(slot, pool, task)
                self._ended(task.number, outcome)
                smallest = smallest or outcome.memory
                if outcome.memory > smallest + _GROWTH:
                    _end(pool)
                    pool = None
        finally:
            if pool is not None:
                _end(pool)

    def _pool(self, threads: int) -> ProcessPool:
        return ProcessPool(
            1,
            initializer=worker.begin,
            initargs=(threads,),
            context=multiprocessing.get_context("spawn"),
        )

    def _train(self, slot: int, pool: ProcessPool, task: Task) -> Outcome:
        try:
            process = pool.schedule(os.getpid).result()
            with self._lock:
                self._running[slot] = process
            self._begun(task.number)
            earlier = None if task.earlier is None else dict(task.earlier)
            arguments = (task.job, task.directory, earlier)
            return pool.schedule(worker.train, arguments, timeout=self._timeout).result()
        except TimeoutError:
            return _failed(f"it took longer than sweep.timeout={self._timeout:g} seconds")
        except ProcessExpired as expired:
            if self._is_stopping:  # before the run began, which takes signals then
                return Outcome(JobStatus.KILLED, None, {}, 0)
            return _failed(_how_it_died(expired.exitcode))
        finally:
            with self._lock:
                self._running.pop(slot, None)


def _end(pool: ProcessPool) -> None:
    with suppress(ProcessExpired, RuntimeError):
        pool.schedule(worker.end).result()
    pool.close()  # type: ignore[no-untyped-call]
    pool.join()


def _failed(reason: str) -> Outcome:
    return Outcome(JobStatus.FAILED, reason, {}, 0)


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    with suppress(ValueError):
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process was killed by signal {-code}"
