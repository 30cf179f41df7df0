import math
from typing import Any

import pytest

from expt.runs.leading import (
    best_values,
    is_comparable,
    is_metric_larger_better,
    larger_is_better,
    leading_metric,
)
from expt.runs.records import RunRecord


def _record(loss: str = "mse", **values: Any) -> RunRecord:
    best = {"step": 3, "watched": "val/loss", "val/loss": 0.5, **values}
    return RunRecord.of({"best": best, "params": {"loss": loss, "act": "relu"}})


def test_metric_monitored_by_most_runs_leads() -> None:
    chosen: dict[str, Any] = {"watched": "val/accuracy", "val/accuracy": 0.9}
    others = [_record(**chosen), _record(), _record()]
    assert leading_metric(others) == "val/loss"
    assert leading_metric(others[:1]) == "val/accuracy"
    assert leading_metric([]) is None


@pytest.mark.parametrize(("losses", "leading"), [("mm", "val/loss"), ("mc", "val/accuracy")])
def test_loss_leads_only_if_all_runs_have_the_same(losses: str, leading: str) -> None:
    records = [_record(name, **{"val/accuracy": 0.9}) for name in losses]
    assert leading_metric(records) == leading
    assert is_comparable("val/loss", records) == (leading == "val/loss")
    assert is_comparable("val/accuracy", records)


def test_different_losses_without_other_metric_are_not_comparable() -> None:
    records = [_record(name) for name in "mc"]
    assert leading_metric(records) == "val/loss"
    assert not is_comparable("val/loss", records)


def test_best_values_are_finite_numbers() -> None:
    values: dict[str, Any] = {"val/loss": math.nan, "val/a": math.inf, "val/b": 1, "val/c": "x"}
    assert best_values(_record(**values)) == {"val/b": 1.0}
    assert best_values(RunRecord()) == {}


def test_direction_by_bare_or_full_name() -> None:
    records = [RunRecord(larger_is_better=["accuracy", "val/gain"]), RunRecord()]
    larger = [larger_is_better(name, records) for name in ("val/accuracy", "val/gain", "test/gain")]
    assert larger == [True, True, False]


def test_direction_with_best_prefix() -> None:
    found = [
        is_metric_larger_better(f"best/{name}", {"accuracy"})
        for name in ("val/accuracy", "val/mae")
    ]
    assert found == [True, False]
