"""Launchers run the jobs of a sweep in worker processes: the protocol, tasks and events.

A launcher runs each task once, in a process that runs no other task at the same time, and reports
the result as an event. Statuses, limits and retries are handled by the scheduler, so that they are
the same for all launchers. Scheduler and launcher share no files except those of the runs, so that
a task may run on another machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

_numbers = count()


@dataclass(frozen=True)
class Task:
    """A function call for a worker process.

    Attributes:
        function: A module-level function, so that it can be pickled. Its result must be picklable
            as well.
        arguments: Positional arguments of the function.
        threads: Number of threads per TensorFlow operation that the worker must have been started
            with; None if any number will do.
        number: Identifies the task in events; unique in this process.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    threads: int | None = None
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass(frozen=True)
class TaskStarted:
    """The event that a task has started to run.

    Attributes:
        number: Number of the task.
    """

    number: int


@dataclass(frozen=True)
class TaskEnded:
    """The event that a task has ended, with its result or its error.

    There is no `TaskStarted` before it if the worker process failed to start.

    Attributes:
        number: Number of the task.
        value: Return value of the function.
        error: Why there is no return value, for example how the worker process died; None if the
            function returned.
    """

    number: int
    value: Any = None
    error: str | None = None


Event = TaskStarted | TaskEnded


class Launcher(Protocol):
    """Runs tasks in a fixed number of slots, one task per slot at a time.

    All methods are called from the scheduler's thread, so implementations need no locks for them.
    """

    @property
    def num_slots(self) -> int:
        """Number of tasks that run at the same time."""

    @property
    def is_idle(self) -> bool:
        """Whether no task is running and `next_event` has returned all events."""

    def submit(self, task: Task) -> None:
        """Queues a task, which runs as soon as a slot is free."""

    def next_event(self, seconds: float) -> Event | None:
        """Waits up to `seconds` for the next event and returns it; None if there is none."""

    def cancel(self, number: int) -> None:
        """Kills a running task; its `TaskEnded` has an error and no value."""

    def hold(self) -> None:
        """Starts no further tasks.

        Tasks that are still queued are dropped. They may or may not be reported as ended.
        """

    def stop(self) -> None:
        """Starts no further tasks, and sends SIGTERM to those that are running."""

    def close(self) -> None:
        """Stops all workers; a task that is still running is killed."""
