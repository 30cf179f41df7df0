"""The limits of a sweep: time per job, number of failures, and the deadlines of running tasks."""

import time
from dataclasses import dataclass
from math import inf

from expt.config.cadence import parse_seconds
from expt.config.schema import Config


@dataclass(frozen=True)
class Limits:
    """The limits that the config sets for a sweep.

    Attributes:
        timeout: Time limit of a job in seconds; None for no limit.
        max_failures: Number of failed jobs after which no further jobs are started; None for no
            limit.
    """

    timeout: float | None
    max_failures: int | None

    @classmethod
    def of(cls, config: Config) -> "Limits":
        """Returns the limits in the config of a job: `sweep.timeout` and `sweep.max_failures`."""
        return cls(parse_seconds(config.sweep.timeout), config.sweep.max_failures)


class Deadlines:
    """The deadlines of running tasks."""

    def __init__(self) -> None:
        """Initializes without any tasks."""
        self._deadlines: dict[int, float] = {}

    def begin(self, number: int, seconds: float | None) -> None:
        """Sets the deadline of a task that starts now; `seconds=None` sets no limit."""
        # The monotonic clock: a job must not time out because the system's clock was set.
        self._deadlines[number] = inf if seconds is None else time.monotonic() + seconds

    def overdue(self) -> list[int]:
        """Returns the numbers of the tasks whose deadlines have passed."""
        now = time.monotonic()
        return [number for number, deadline in self._deadlines.items() if now > deadline]

    def end(self, number: int) -> bool:
        """Removes a task that has ended, and returns whether its deadline had passed."""
        return time.monotonic() > self._deadlines.pop(number, inf)
