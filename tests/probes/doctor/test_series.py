"""Columns of a journal as series of steps and values."""

import numpy as np

from expt.probes.doctor.series import Series, read_series


def records() -> list[dict[str, float]]:
    return [
        {"step": 1, "epoch": 1, "time": 5.0, "train/loss": 3.0, "perf/steps_per_s": 9.0},
        {"step": 2, "epoch": 1, "time": 6.0, "train/loss": float("nan")},
        {"step": 2, "epoch": 1, "time": 7.0, "val/loss": 2.5},
        {"step": 3, "epoch": 2, "time": 8.0, "train/loss": 1.0},
    ]


def test_columns_are_read_with_their_steps() -> None:
    columns = read_series(records())
    assert list(columns) == ["train/loss", "val/loss"]
    assert columns["train/loss"].steps.tolist() == [1, 2, 3]
    assert columns["val/loss"].values.tolist() == [2.5]


def test_finite_values_keep_their_steps() -> None:
    loss = read_series(records())["train/loss"].finite()
    assert loss.steps.tolist() == [1, 3]
    assert loss.values.tolist() == [3.0, 1.0]


def test_windows_are_means() -> None:
    series = Series(np.arange(1.0, 7.0), np.array([1.0, 3.0, 5.0, 7.0, 0.0, 2.0]))
    windows = series.windows(3)
    assert windows.steps.tolist() == [2, 4, 6]
    assert windows.values.tolist() == [2.0, 6.0, 1.0]


def test_between_is_the_mean_since_the_previous_end() -> None:
    series = Series(np.arange(1.0, 7.0), np.array([1.0, 3.0, 5.0, 7.0, 0.0, 2.0]))
    assert series.between(np.array([2.0, 5.0])).tolist() == [2.0, 4.0]


def test_no_records_have_no_columns() -> None:
    assert read_series([]) == {}
