"""The limits of a sweep, and the deadlines of its running tasks."""

import time
from dataclasses import dataclass
from math import inf

from expt.config.cadence import parse_seconds
from expt.config.schema import Config


@dataclass(frozen=True)
class Limits:
    """What a sweep may take.

    Attributes:
        timeout: Seconds that a job may take; None for any.
        max_failures: Failed jobs after which no more begin; None for any.
    """

    timeout: float | None
    max_failures: int | None

    @classmethod
    def of(cls, config: Config) -> "Limits":
        """Reads them from a job's config."""
        return cls(parse_seconds(config.sweep.timeout), config.sweep.max_failures)


class Deadlines:
    """When each running task must have ended."""

    def __init__(self) -> None:
        """There are none at first."""
        self._deadlines: dict[int, float] = {}

    def begin(self, number: int, seconds: float | None) -> None:
        """Sets the deadline of a task that begins now; None is no limit."""
        self._deadlines[number] = inf if seconds is None else time.monotonic() + seconds

    def overdue(self) -> list[int]:
        """Returns the numbers of the tasks that should have ended by now."""
        now = time.monotonic()
        return [number for number, deadline in self._deadlines.items() if now > deadline]

    def end(self, number: int) -> bool:
        """Forgets a task that has ended; returns whether it was overdue."""
        return time.monotonic() > self._deadlines.pop(number, inf)
