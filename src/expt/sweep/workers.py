"""The worker processes of a sweep: each does one call after another, and can die alone."""

import multiprocessing
import os
import queue
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from expt.config.schema import THREADS
from expt.sweep import worker
from expt.train.data_loading import DataLoader

_GROWTH = 2 * 2**30  # bytes that a worker may take more than after its first call


@dataclass(frozen=True)
class Began:
    """A call is under way.

    Attributes:
        number: Which one, as it was submitted.
    """

    number: int


@dataclass(frozen=True)
class Ended:
    """A call has ended.

    Attributes:
        number: Which one, as it was submitted.
        value: What it returned, if it did.
        death: Why it did not: how its process died, or that it took too long.
    """

    number: int
    value: Any = None
    death: str | None = None


@dataclass(frozen=True)
class _Call:
    number: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    timeout: float | None
    threads: int | None


class Workers:
    """Processes that start at once, each with its share of the cores and its own GPU.

    A process that dies takes its call with it and no other; the next call gets a new one, as it
    does once a process has grown by two GiB, and if it needs another number of threads. All events
    are told to one thread, by `next`.
    """

    def __init__(
        self,
        environments: Sequence[Mapping[str, str]],
        cores: int,
        load: DataLoader,
        threads: int = THREADS,
    ) -> None:
        """Starts the processes; `number` is how many there are.

        Args:
            environments: What each process's environment says beside this one's.
            cores: That they share.
            load: Loads the data of jobs; each has a copy.
            threads: That an operation of TensorFlow's takes, unless a call needs another number.
        """
        self._load, self._first_threads = load, threads
        # What libraries leave there would stay, for the processes are ended rather than let end.
        self._temporary = tempfile.TemporaryDirectory(prefix="expt-sweep-")
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Began | Ended] = queue.SimpleQueue()
        self._is_holding = self._is_stopping = self._is_closed = False
        self.number = len(environments)
        self._running: dict[int, int] = {}  # process ids by slot
        self._futures: dict[int, ProcessFuture[Any]] = {}  # of what they were last asked, by slot
        self._lock = threading.Lock()
        self._operations = max(1, cores // max(1, self.number))
        self._threads = [
            threading.Thread(
                target=self._serve,
                args=(slot, {**environment, "TMPDIR": self._temporary.name}),
                daemon=True,
            )
            for slot, environment in enumerate(environments)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        number: int,
        function: Callable[..., Any],
        *arguments: Any,
        timeout: float | None = None,
        threads: int | None = None,
    ) -> None:
        """Lets the next process that is free call a function.

        Args:
            number: What the events of this call tell.
            function: Pickle must find it by name.
            arguments: Of the function.
            timeout: Seconds that the call may take.
            threads: That an operation of TensorFlow's must take; None is any.
        """
        self._calls.put(_Call(number, function, arguments, timeout, threads))

    def next(self, seconds: float) -> Began | Ended | None:
        """Returns the next event, or None if there is none within some seconds."""
        with suppress(queue.Empty):
            return self._events.get(timeout=seconds)
        return None

    @property
    def is_stopped(self) -> bool:
        """Whether calls have been ended by `stop`."""
        return self._is_stopping

    @property
    def is_holding(self) -> bool:
        """Whether no more calls begin."""
        return self._is_holding

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way, and there are no events of earlier ones."""
        with self._lock:
            return not self._running and self._events.empty()

    def hold(self) -> None:
        """Lets no more calls begin."""
        with self._lock:
            self._is_holding = True

    def stop(self) -> None:
        """Lets no more calls begin, and sends a SIGTERM to the processes that are at one."""
        with self._lock:
            self._is_holding = self._is_stopping = True
            for process in self._running.values():
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)

    def close(self) -> None:
        """Ends the processes at once, whatever they are at."""
        with self._lock:
            self._is_holding = self._is_closed = True
            for future in self._futures.values():
                future.cancel()  # type: ignore[no-untyped-call]
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()
        self._temporary.cleanup()

    def _serve(self, slot: int, environment: Mapping[str, str]) -> None:
        threads, smallest = self._first_threads, 0
        pool = self._start(threads, environment)
        while (call := self._calls.get()) is not None:
            if self._is_holding:
                continue
            if call.threads not in (None, threads):
                _end(pool)
            if not pool.active:
                threads, smallest = call.threads or threads, 0
                pool = self._start(threads, environment)
            ended, memory = self._call(slot, pool, call)
            with self._lock:
                self._running.pop(slot, None)
                self._events.put(ended)
            smallest = smallest or memory
            if memory > smallest + _GROWTH:
                _end(pool)
        _end(pool)

    def _start(self, threads: int, environment: Mapping[str, str]) -> ProcessPool:
        """Starts a process."""
        pool = ProcessPool(
            1,
            initializer=worker.begin,
            initargs=(threads, self._operations, dict(environment), self._load),
            context=multiprocessing.get_context("spawn"),
        )
        pool.schedule(os.getpid)  # a pool starts with its first call
        return pool

    def _call(self, slot: int, pool: ProcessPool, call: _Call) -> tuple[Ended, int]:
        """Returns how a call has ended, and what memory its process has then."""
        try:
            process = self._wait(slot, pool.schedule(os.getpid))
            with self._lock:
                if self._is_holding:
                    return Ended(call.number), 0
                self._running[slot] = process
                self._events.put(Began(call.number))
            future = pool.schedule(call.function, call.arguments, timeout=call.timeout)
            value = self._wait(slot, future)
            return Ended(call.number, value), _memory(process)
        except TimeoutError:
            death = f"it took longer than sweep.timeout={call.timeout:g} seconds"
        except ProcessExpired as expired:
            death = _how_it_died(expired.exitcode)
        # Such as a process that can't be started; SystemExit comes from a function that exits.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            death = f"{type(error).__name__}: {error}"
        return Ended(call.number, death=death), 0

    def _wait(self, slot: int, future: "ProcessFuture[Any]") -> Any:
        """Returns what a process answers; `close` ends that with an error."""
        with self._lock:
            self._futures[slot] = future
            if self._is_closed:
                future.cancel()  # type: ignore[no-untyped-call]
        return future.result()


def _memory(process: int) -> int:
    """Returns the bytes that a process has in memory; none if it has ended by now."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process).memory_info().rss
    return 0


def _end(pool: ProcessPool) -> None:
    """Ends a process; it need not tidy up."""
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"its process ended with code {code}"
    with suppress(ValueError):
        return f"its process was killed by {signal.Signals(-code).name}"
    return f"its process was killed by signal {-code}"
