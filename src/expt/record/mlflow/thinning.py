"""The selection of a journal's values that MLflow gets.

MLflow needs far more processor time for a value than the other recorders, and its charts draw at
most a few thousand points. The journal and TensorBoard have every value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from expt.runs.run import Run

MAX_POINTS = 10_000
"""The default of `recorder.mlflow.max_points`."""

_TARGET = "expt.record.mlflow.MLflowRecorder"
_EVALUATIONS = ("val/", "test/")

Point = tuple[str, Mapping[str, Any]]
"""A metric and the record of the journal with its value."""


@dataclass
class Thinning:
    """A rule that selects, of each metric, the first value in every interval of steps.

    The intervals have the same length for all metrics, and begin at multiples of it. Values of
    evaluations are all selected, and in the end, the last value of each metric. The rule depends on
    the planned number of steps and on the records of the journal before a value, so that a resumed
    run and `expt.sync` select the same values again.

    Attributes:
        interval: The number of steps in an interval; 1 selects everything.
    """

    interval: int = 1
    _selected: dict[str, int] = field(default_factory=dict)
    _skipped: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> "Thinning":
        """Returns the rule of a run, from its config and its planned number of steps.

        Runs of earlier versions, which did not record that number, keep all values.
        """
        steps, most = run.record.planned_steps, _max_points(run.config)
        return cls(1 if steps is None or most is None else max(1, -(-steps // most)))

    def select(self, record: Mapping[str, Any]) -> Iterator[Point]:
        """Yields the selected metrics of the next record of the journal."""
        step = record["step"]
        for name in record:
            if "/" not in name:
                continue
            before = self._selected.get(name)
            if (
                self.interval == 1
                or name.startswith(_EVALUATIONS)
                or before is None
                or step // self.interval != before // self.interval
                or step == before  # a second record of the same step
            ):
                self._selected[name] = step
                self._skipped.pop(name, None)
                yield name, record
            else:
                self._skipped[name] = record

    def rest(self) -> Iterator[Point]:
        """Yields the last record of each metric, unless it was selected; nothing the next time."""
        skipped, self._skipped = self._skipped, {}
        yield from skipped.items()


def _max_points(config: Mapping[str, Any]) -> int | None:
    nodes = config.get("recorder", {}).values()
    found = [node for node in nodes if node.get("_target_") == _TARGET]
    # Configs of earlier versions lack the key.
    points: int | None = found[0].get("max_points", MAX_POINTS) if found else MAX_POINTS
    return points
