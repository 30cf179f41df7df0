"""The columns of a journal as arrays."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.record.recorder import WITHIN

_UNREAD = "perf/"  # no rule is about speed


@dataclass(frozen=True)
class Series:
    """The values of one metric, in the order of their steps.

    Attributes:
        steps: Shape [records].
        values: Shape [records].
    """

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    def finite(self) -> "Series":
        """Returns the series without values that are NaN or infinite."""
        kept = np.isfinite(self.values)
        return Series(self.steps[kept], self.values[kept])

    def after(self, step: float) -> "Series":
        """Returns the part of the series after a step."""
        kept = self.steps > step
        return Series(self.steps[kept], self.values[kept])

    def windows(self, count: int) -> "Series":
        """Returns the means over so many windows of about equal size, each at its last step.

        Args:
            count: The number of windows; at most the length of the series.
        """
        parts = np.array_split(np.arange(len(self)), count)
        return Series(
            np.array([self.steps[part[-1]] for part in parts]),
            np.array([self.values[part].mean() for part in parts]),
        )

    def between(self, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the mean over the steps up to each end, from the previous end.

        Args:
            ends: Ascending steps, shape [ends], each with a record after the previous one.

        Returns:
            Shape [ends].
        """
        places = np.searchsorted(self.steps, ends, side="right")
        return np.array([part.mean() for part in np.split(self.values, places)[: len(ends)]])


EMPTY = Series(np.empty(0), np.empty(0))


def read_series(records: Iterable[Mapping[str, Any]]) -> dict[str, Series]:
    """Returns the columns of a journal by name, in the order of their first records.

    The names of probes' columns are without their common prefix, such as `gradient_norm/dense`.

    Args:
        records: The records of the journal.
    """
    # Arrays of numbers: a journal may have millions of records, and Python's lists are larger.
    columns: dict[str, tuple[array[float], array[float]]] = {}
    for record in records:
        step = record["step"]
        for full_name, value in record.items():
            if "/" in full_name and not full_name.startswith(_UNREAD):
                name = full_name.removeprefix(WITHIN)
                if name not in columns:
                    columns[name] = array("d"), array("d")
                steps, values = columns[name]
                steps.append(step)
                values.append(value)
    return {
        name: Series(np.frombuffer(steps), np.frombuffer(values))
        for name, (steps, values) in columns.items()
    }
