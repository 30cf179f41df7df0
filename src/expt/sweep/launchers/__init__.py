"""Launchers: where the jobs of a sweep run. The protocol, and what a launcher and a sweep exchange.

A launcher runs tasks, each once and alone, and reports every result as an event. What a result
means for the sweep is the scheduler's business: statuses, limits and retries are there. The two
share no files but those of the jobs' runs, so that a task may run on another machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

_numbers = count()


@dataclass(frozen=True)
class Task:
    """A call of a function in a worker process.

    Attributes:
        function: Pickle must find it by name; its result must be picklable, too.
        arguments: Of the function.
        threads: The threads of a TensorFlow operation that the process must have; None for any.
        number: Names the task in events; no other task of this process has it.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    threads: int | None = None
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass(frozen=True)
class Began:
    """A task is running.

    Attributes:
        number: The task's.
    """

    number: int


@dataclass(frozen=True)
class Ended:
    """A task has ended; if its process could not even start, there was no `Began`.

    Attributes:
        number: The task's.
        value: What the function returned.
        death: Why it returned nothing, such as how its process died; None if it did.
    """

    number: int
    value: Any = None
    death: str | None = None


Event = Began | Ended


class Launcher(Protocol):
    """Runs tasks in a number of slots. One thread calls it."""

    @property
    def num_slots(self) -> int:
        """How many tasks run at once."""

    @property
    def is_idle(self) -> bool:
        """Whether no task is running and all events have been taken."""

    def submit(self, task: Task) -> None:
        """Runs a task as soon as a slot is free."""

    def next_event(self, seconds: float) -> Event | None:
        """Returns the next event, or None if there is none within some seconds."""

    def cancel(self, number: int) -> None:
        """Ends a running task at once; its `Ended` has no value."""

    def hold(self) -> None:
        """Starts no more tasks. Those that wait are dropped, most without an event."""

    def stop(self) -> None:
        """Holds, and asks the running tasks to end: SIGTERM."""

    def close(self) -> None:
        """Frees the slots; a task that still runs is ended at once."""
