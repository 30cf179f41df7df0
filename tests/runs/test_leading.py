import math
from typing import Any

import pytest

from expt.runs.leading import best_values, is_comparable, larger_is_better, leading_metric


def _record(loss: str = "mse", **values: float) -> dict[str, Any]:
    best = {"step": 3, "watched": "val/loss", "val/loss": 0.5, **values}
    return {"best": best, "params": {"loss": loss, "act": "relu"}}


def test_the_metric_that_chose_most_models_leads() -> None:
    others = [_record(), _record(), _record()]
    others[0]["best"] |= {"watched": "val/accuracy", "val/accuracy": 0.9}
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
    record = {
        "best": {"step": 3, "val/loss": math.nan, "val/a": math.inf, "val/b": 1, "val/c": "x"}
    }
    assert best_values(record) == {"val/b": 1.0}
    assert best_values({}) == {}


def test_the_direction_is_of_the_metric_or_of_its_full_name() -> None:
    records = [{"larger_is_better": ["accuracy", "val/gain"]}, {}]
    larger = [larger_is_better(name, records) for name in ("val/accuracy", "val/gain", "test/gain")]
    assert larger == [True, True, False]
