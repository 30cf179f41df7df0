"""Parsing of cadences, such as `1ep`, and of durations, such as `10min`."""

import re
from dataclasses import dataclass

_UNITS = {"s": 1, "min": 60, "h": 3600}
_PATTERN = re.compile(r"(?P<count>\d+)(?P<unit>ep)?")


@dataclass(frozen=True)
class Cadence:
    """A schedule of recurring events: every so many steps or epochs, or never.

    Attributes:
        count: The number of steps or epochs between two events, at least 1; None means never.
        in_epochs: Whether `count` is in epochs rather than steps.
    """

    count: int | None
    in_epochs: bool = False

    @classmethod
    def parse(cls, value: object) -> "Cadence":
        """Parses `500` (steps), `"1ep"` (epochs) or None (never).

        Raises:
            ValueError: The value has none of these forms.
        """
        if value is None:
            return cls(None)
        match = _PATTERN.fullmatch(str(value))
        if match is None or isinstance(value, bool) or int(match["count"]) < 1:
            raise ValueError(
                f"{value!r} is not a cadence: a positive number of steps (500) or epochs (1ep), "
                "or null for never"
            )
        return cls(int(match["count"]), in_epochs=match["unit"] is not None)

    def next_due(self, step: int, steps_per_epoch: int) -> float:
        """Returns the first step after `step` at which an event is due; infinity if never."""
        if self.count is None:
            return float("inf")  # an int has no infinity, so the return type is float
        every = self.count * (steps_per_epoch if self.in_epochs else 1)
        return (step // every + 1) * every

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether an event is due after `step` steps."""
        return self.next_due(step - 1, steps_per_epoch) == step


def parse_seconds(value: object) -> float | None:
    """Parses a duration: `90` or `"90s"` (seconds), `"10min"`, `"2h"`, or None.

    Returns:
        The duration in seconds, or None for None.

    Raises:
        ValueError: The value has none of these forms, or is not positive.
    """
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|)", str(value))
    seconds = float(match[1]) * _UNITS.get(match[2], 1) if match else 0.0
    if seconds <= 0:
        raise ValueError(
            f"{value!r} is not a duration: a number of seconds (90), or one with a unit (90s, "
            "10min, 2h)"
        )
    return seconds
