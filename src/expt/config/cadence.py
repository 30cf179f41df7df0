"""Cadences: how often something is due; and limits of time."""

import re
from dataclasses import dataclass

_UNITS = {"s": 1, "min": 60, "h": 3600}
_PATTERN = re.compile(r"(?P<count>\d+)(?P<unit>ep)?")


@dataclass(frozen=True)
class Cadence:
    """A positive number of steps or of epochs, or never.

    Attributes:
        count: How many; None is never.
        in_epochs: Whether epochs are counted rather than steps.
    """

    count: int | None
    in_epochs: bool = False

    @classmethod
    def parse(cls, value: object) -> "Cadence":
        """Reads `500` (steps), `1ep` (epochs) or None (never).

        Raises:
            ValueError: The value is none of these.
        """
        if value is None:
            return cls(None)
        match = _PATTERN.fullmatch(str(value))
        if match is None or isinstance(value, bool) or int(match["count"]) < 1:
            raise ValueError(
                f"{value!r} is not a cadence: a positive number of steps (500) or of epochs (1ep), "
                "or null for never"
            )
        return cls(int(match["count"]), in_epochs=match["unit"] is not None)

    def next_due(self, step: int, steps_per_epoch: int) -> float:
        """Returns the first step after `step` at which this is due; infinity if never."""
        if self.count is None:
            return float("inf")
        every = self.count * (steps_per_epoch if self.in_epochs else 1)
        return (step // every + 1) * every

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether this is due after `step` steps."""
        return self.next_due(step - 1, steps_per_epoch) == step


def parse_seconds(value: object) -> float | None:
    """Reads a time limit: `90` or `90s` (seconds), `10min`, `2h`, or None.

    Raises:
        ValueError: The value is none of these.
    """
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|)", str(value))
    seconds = float(match[1]) * _UNITS.get(match[2], 1) if match else 0.0
    if seconds <= 0:
        raise ValueError(f"{value!r} is not a time: a number of seconds (90), or 90s, 10min, 2h")
    return seconds
