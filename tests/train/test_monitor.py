import math
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from expt.train.monitor import BestWeights, EarlyStopping, Monitor

LOSS, ACCURACY = Monitor("val/loss"), Monitor("val/accuracy", larger_is_better=True)


def make_model() -> Any:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def fill(model: Any, value: float) -> None:
    model.set_weights([np.full(w.shape, value) for w in model.get_weights()])


@pytest.mark.parametrize(
    ("monitor", "value", "over", "gain"),
    [
        (LOSS, 1.0, 3.0, 2.0),
        (LOSS, 3.0, 1.0, -2.0),
        (ACCURACY, 3.0, 1.0, 2.0),
        (ACCURACY, 1.0, 3.0, -2.0),
        (LOSS, 1.0, 1.0, 0.0),
        (LOSS, -5.0, None, math.inf),
        (ACCURACY, 0.0, None, math.inf),
        *(
            (monitor, bad, None, -math.inf)
            for monitor in (LOSS, ACCURACY)
            for bad in (math.nan, math.inf)
        ),
        (LOSS, -math.inf, 1.0, -math.inf),
        (ACCURACY, math.inf, 1.0, -math.inf),
    ],
)
def test_gain_follows_the_direction_of_the_metric(
    monitor: Monitor, value: float, over: float | None, gain: float
) -> None:
    assert monitor.gain(value, over) == gain


@pytest.mark.parametrize(
    ("losses", "best_step"),
    [
        ([3.0, 1.0, 2.0], 2),
        ([1.0, 2.0, 3.0], 1),
        ([2.0, 1.0, 1.0], 2),
        ([np.nan, 5.0, np.nan], 2),
        ([4.0, np.nan, -np.inf, 3.0], 4),
        ([np.inf, 7.0], 2),
        ([-1.0, 0.0, -2.0], 3),
    ],
)
@pytest.mark.parametrize("monitor", [LOSS, ACCURACY])
def test_best_weights_are_those_of_the_best_evaluation(
    monitor: Monitor, losses: list[float], best_step: int
) -> None:
    values = [-loss if monitor.larger_is_better else loss for loss in losses]
    networks = [make_model(), make_model()]
    best = BestWeights(networks, monitor)
    for step, value in enumerate(values, start=1):
        for sign, network in zip((1, -1), networks, strict=True):
            fill(network, sign * step)
        best.consider(step, {monitor.metric: value, "val/mae": 10.0 * step})
    for network in networks:
        fill(network, 99)
    best.restore()
    assert best.step == best_step
    assert best.values == {monitor.metric: values[best_step - 1], "val/mae": 10.0 * best_step}
    for sign, network in zip((1, -1), networks, strict=True):
        assert all((weights == sign * best_step).all() for weights in network.get_weights())


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("monitor", [LOSS, ACCURACY])
def test_value_that_is_not_finite_is_never_best(monitor: Monitor, loss: float) -> None:
    best = BestWeights([make_model()], monitor)
    best.consider(1, {monitor.metric: loss})
    assert best.step is None
    assert best.values == {}


def test_best_weights_are_copied() -> None:
    best, values = BestWeights([make_model()], LOSS), {"val/loss": 1.0}
    best.consider(1, values)
    values["val/loss"] = 0.0
    assert best.values == {"val/loss": 1.0}


def stops_at(stopping: EarlyStopping, values: Sequence[float]) -> int | None:
    """Returns the number of the evaluation that ends the run, counted from 1."""
    for number, value in enumerate(values, start=1):
        if stopping.after_evaluation({stopping.monitor.metric: value, "val/other": -number}):
            return number
    return None


@pytest.mark.parametrize(
    ("patience", "losses", "end"),
    [
        (None, [1, 2, 3, 4, 5], None),
        (1, [5, 4, 3, 2], None),
        (1, [5, 4, 4], 3),
        (2, [5, 6, 4, 5, 5], 5),
        (2, [5, 6, 4, 5, 3, 6], None),
        (3, [1, 2, 2, 2], 4),
        (2, [np.nan, np.nan], 2),
        (2, [np.nan, 3, np.nan, 2, np.inf, -np.inf], 6),
    ],
)
@pytest.mark.parametrize("monitor", [LOSS, ACCURACY])
def test_patience_ends_training(
    monitor: Monitor, patience: int | None, losses: list[float], end: int | None
) -> None:
    values = [-loss if monitor.larger_is_better else loss for loss in losses]
    assert stops_at(EarlyStopping(monitor, patience=patience), values) == end


def test_an_improvement_must_exceed_min_change() -> None:
    """It is measured from the last improvement, so that several small changes add up."""
    stopping = EarlyStopping(LOSS, patience=3, min_change=0.5)
    assert stops_at(stopping, [4, 3.75, 3.5, 3.25, 3, 2.75]) is None
    assert stops_at(EarlyStopping(LOSS, patience=3, min_change=0.5), [4, 3.75, 3.5, 3.5]) == 4


def test_reason_to_stop_is_returned() -> None:
    stopping = EarlyStopping(ACCURACY, patience=1)
    stopping.after_evaluation({"val/accuracy": 0.5})
    reason = stopping.after_evaluation({"val/accuracy": 0.5})
    assert reason == "val/accuracy has not improved for 1 evaluations"


def test_training_loss_below_the_target_ends_training() -> None:
    stopping = EarlyStopping(LOSS, target_loss=0.5)
    assert stopping.lowest_loss == math.inf
    assert stopping.after_block([3.0, 0.75]) is None
    assert stopping.after_block([2.0, 0.5]) is None
    assert stopping.lowest_loss == 0.5
    assert stopping.after_block([0.25, 2.0]) == "train/loss fell below 0.5"
    assert stopping.lowest_loss == 0.25
    assert EarlyStopping(LOSS).after_block([0.0]) is None


def test_time_limit_counts_from_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=time.monotonic())
    stopping = EarlyStopping(LOSS, seconds=90.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    assert stopping.after_block([1.0]) is None
    clock.now += 89.0
    assert stopping.after_block([1.0]) is None
    clock.now += 2.0
    assert stopping.after_block([1.0]) == "the time limit of 90 s was reached"
    assert EarlyStopping(LOSS).after_block([1.0]) is None


def test_best_weights_are_restored_from_a_checkpoint() -> None:
    model = make_model()
    best = BestWeights([model], LOSS)
    fill(model, 3.0)
    best.consider(7, {"val/loss": 0.5})
    fill(model, 4.0)
    copy = BestWeights([model], LOSS)
    copy.load(best.step, best.values, best.arrays())
    copy.consider(8, {"val/loss": 0.6})
    assert (copy.step, copy.values) == (7, {"val/loss": 0.5})
    copy.restore()
    assert all((weights == 3.0).all() for weights in model.get_weights())


def test_no_best_weights_are_restored_before_the_first_evaluation() -> None:
    model = make_model()
    best = BestWeights([model], LOSS)
    assert best.arrays() == {}
    best.load(None, {}, {})
    best.consider(1, {"val/loss": 9.0})
    assert best.step == 1


def test_restored_early_stopping_continues_to_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("expt.train.monitor.time.monotonic", lambda: clock.now)
    first = EarlyStopping(LOSS, patience=3, seconds=60, _started=clock.now)
    first.after_block([5.0, 2.0])
    for loss in (1.0, 1.5):
        assert first.after_evaluation({"val/loss": loss}) is None
    clock.now += 45
    state = first.state_dict()

    clock.now = 5000.0
    second = EarlyStopping(LOSS, patience=3, seconds=60)
    second.load_state_dict(state)
    assert second.lowest_loss == 2.0
    clock.now += 14
    assert second.after_block([3.0]) is None
    assert second.after_evaluation({"val/loss": 1.2}) is None
    assert second.after_evaluation({"val/loss": 1.2}) is not None
    clock.now += 1
    assert second.after_block([3.0]) == "the time limit of 60 s was reached"
