from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from expt.record.mlflow import MLflowRecorder
from expt.record.mlflow.thinning import MAX_POINTS, Thinning
from expt.runs.records import RunRecord
from expt.runs.run import Run


def _journal(steps: int, every: int = 19) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        records.append({"step": step, "train/loss": 1 / step, "train/accuracy": 0.5})
        if step % every == 0:
            records.append({"step": step, "val/loss": 2 / step, "perf/steps_per_s": 9.0})
    records.append({"step": steps, "test/loss": 0.1})
    return records


def _selected(thinning: Thinning, records: list[dict[str, Any]]) -> dict[str, list[int]]:
    found = defaultdict(list)
    points = [point for record in records for point in thinning.select(record)]
    for name, record in [*points, *thinning.rest()]:
        found[name].append(record["step"])
    return found


def test_first_of_each_interval_and_last_are_selected() -> None:
    found = _selected(Thinning(interval=7), _journal(100, every=3))
    assert found["train/loss"] == [1, *range(7, 99, 7), 100]
    assert found["train/accuracy"] == found["train/loss"]
    # After every third step: the first evaluation in each interval, and the last one.
    speeds = {step // 7: step for step in reversed(range(3, 100, 3))}
    assert found["perf/steps_per_s"] == [*sorted(speeds.values()), *{99} - {*speeds.values()}]


def test_all_evaluations_are_selected() -> None:
    found = _selected(Thinning(interval=50), _journal(100, every=3))
    assert found["val/loss"] == list(range(3, 100, 3))
    assert found["test/loss"] == [100]


def test_interval_of_one_selects_everything() -> None:
    records = [*_journal(20), *_journal(20)]
    found = _selected(Thinning(), records)
    assert found["train/loss"] == [*range(1, 21), *range(1, 21)]


def test_sparse_metrics_are_not_thinned_further() -> None:
    records = [{"step": step, "within/norm": 1.0} for step in range(0, 1000, 20)]
    assert _selected(Thinning(interval=13), records)["within/norm"] == list(range(0, 1000, 20))


def test_rest_is_empty_after_it_was_sent() -> None:
    thinning = Thinning(interval=10)
    for record in _journal(15):
        list(thinning.select(record))
    assert [record["step"] for _, record in thinning.rest()] == [15, 15]
    assert not [*thinning.rest()]


def test_selection_does_not_depend_on_the_reading() -> None:
    """A run that was killed and resumed has the same journal, read anew from its start."""
    records = _journal(997, every=17)
    whole = _selected(Thinning(interval=10), records)
    again = Thinning(interval=10)
    first = [point for record in records[:400] for point in again.select(record)]
    assert all(record["step"] in whole[name] for name, record in first)


def _run(planned: int | None, mlflow: dict[str, Any] | None) -> Run:
    node = {"_target_": "expt.record.mlflow.MLflowRecorder", **(mlflow or {})}
    config = {"recorder": {"mine": node} if mlflow is not None else {}}
    return Run(Path(), Path(), config, {}, RunRecord(planned_steps=planned))


@pytest.mark.parametrize(
    ("planned", "mlflow", "interval"),
    [
        (1_000_000, {"max_points": 10_000}, 100),
        (1_000_001, {"max_points": 10_000}, 101),
        (10_000, {}, 1),
        (2 * MAX_POINTS, {}, 2),
        (2 * MAX_POINTS, None, 2),
        (10**6, {"max_points": None}, 1),
        (None, {"max_points": 1}, 1),
        (0, {"max_points": 5}, 1),
    ],
)
def test_interval_of_a_run(planned: int | None, mlflow: Any, interval: int) -> None:
    assert Thinning.of(_run(planned, mlflow)).interval == interval


def test_number_of_points_must_be_positive() -> None:
    with pytest.raises(ValueError, match=r"max_points=0: expected at least 1, or null"):
        MLflowRecorder(max_points=0)
