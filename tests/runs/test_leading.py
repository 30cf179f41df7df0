import math
from typing import Any

import pytest

from expt.runs.leading import (
    best_values,
    is_comparable,
    is_larger_better,
    larger_is_better,
    leading_metric,
)
from expt.runs.records import RunRecord


def _record(loss: str = "mse", **values: Any) -> RunRecord:
    best = {"step": 3, "watched": "val/loss", "val/loss": 0.5, **values}
    return RunRecord.of({"best": best, "params": {"loss": loss, "act": "relu"}})


def test_the_metric_that_chose_most_models_leads() -> None:
    chosen: dict[str, Any] = {"watched": "val/accuracy", "val/accuracy": 0.9}
    others = [_record(**chosen), _record(), _record()]
    assert leading_metric(others) == "val/loss"
    assert leading_metric(others[:1]) == "val/accuracy"
    assert leading_metric([]) is None


@pytest.mark.parametrize(("losses", "leading"), [("mm", "val/loss"), ("mc", "val/accuracy")])
def test_a_loss_leads_where_all_runs_have_it(losses: str, leading: str) -> None:
    records = [_record(name, **{"val/accuracy": 0.9}) for name in losses]
    assert leading_metric(records) == leading
    assert is_comparable("val/loss", records) == (leading == "val/loss")
    assert is_comparable("val/accuracy", records)


def test_different_losses_without_another_metric() -> None:
    records = [_record(name) for name in "mc"]
    assert leading_metric(records) == "val/loss"
    assert not is_comparable("val/loss", records)


def test_values_are_finite_numbers_of_metrics() -> None:
    values: dict[str, Any] = {"val/loss": math.nan, "val/a": math.inf, "val/b": 1, "val/c": "x"}
    assert best_values(_record(**values)) == {"val/b": 1.0}
    assert best_values(RunRecord()) == {}


def test_the_direction_is_of_the_metric_or_of_its_full_name() -> None:
    records = [RunRecord(larger_is_better=["accuracy", "val/gain"]), RunRecord()]
    larger = [larger_is_better(name, records) for name in ("val/accuracy", "val/gain", "test/gain")]
    assert larger == [True, True, False]


def test_a_direction_is_that_of_a_best_value_too() -> None:
    found = [is_larger_better(f"best/{name}", {"accuracy"}) for name in ("val/accuracy", "val/mae")]
    assert found == [True, False]
