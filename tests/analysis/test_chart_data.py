import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.made_runs import write_journal, write_run, write_sweep
from expt.analysis.chart_data import chart_data
from expt.analysis.compared_run import read_compared
from expt.analysis.effects import effects
from expt.analysis.table import Comparison, compare


def comparison_of(folder: Path, **options: Any) -> Comparison:
    runs = [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]
    return compare(runs, **options)


RATE = "optimizer.learning_rate"
GRID = {
    ("relu", 0.1): [0.30, 0.34],
    ("relu", 0.01): [0.50, 0.56],
    ("tanh", 0.1): [0.40, 0.42],
    ("tanh", 0.01): [0.60, 0.68],
}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    runs = [
        ({"act": act, RATE: rate}, seed, value)
        for (act, rate), values in GRID.items()
        for seed, value in enumerate(values)
    ]
    for number, (params, seed, value) in enumerate(runs):
        names = ("val/accuracy", "train/loss", "train/learning_rate")
        values = {"val/loss": value, **dict.fromkeys(names, 0.1)}
        directory = write_run(tmp_path / str(number), params, seed=seed, values=values)
        lines = [{"step": s, "train/loss": 2.0 / s, "train/learning_rate": 0.1} for s in (1, 2)]
        ends = [{"step": s, "val/loss": number + 1.0 / s, "val/accuracy": 0.1 * s} for s in (1, 2)]
        write_journal(directory, [*lines, *ends])
    found: dict[str, Any] = json.loads(
        json.dumps(chart_data(comparison_of(tmp_path)), allow_nan=False)
    )
    return found


def test_variants_are_ranked_and_labelled_by_their_differences(data: dict[str, Any]) -> None:
    assert data["metric"] == "best val/loss"
    assert data["largerIsBetter"] is False
    assert data["variants"] == [
        {"label": "act=relu, learning_rate=0.1", "isBest": True, "n": 2},
        {"label": "act=tanh, learning_rate=0.1", "isBest": False, "n": 2},
        {"label": "act=relu, learning_rate=0.01", "isBest": False, "n": 2},
        {"label": "act=tanh, learning_rate=0.01", "isBest": False, "n": 2},
    ]


def test_metrics_that_change_have_charts_validation_first(data: dict[str, Any]) -> None:
    shown = [(chart["metric"], chart["isLog"], chart["hasBand"]) for chart in data["charts"]]
    assert shown == [
        ("val/loss", True, True),
        ("val/accuracy", False, True),
        ("train/loss", True, False),  # the learning rate is constant
    ]
    assert [chart["largerIsBetter"] for chart in data["charts"]] == [False, True, False]


def test_curves_are_means_over_seeds_with_the_interval_of_scipy(data: dict[str, Any]) -> None:
    best = data["charts"][0]["curves"][0]
    at_one, at_two = [1.0, 2.0], [0.5, 1.5]  # the first two jobs
    intervals = [stats.t.interval(0.95, 1, np.mean(v), stats.sem(v)) for v in (at_one, at_two)]
    assert (best["steps"], best["mean"]) == ([1, 2], [1.5, 1.0])
    np.testing.assert_allclose(best["low"], [low for low, _ in intervals], rtol=1e-5)
    np.testing.assert_allclose(best["high"], [high for _, high in intervals], rtol=1e-5)
    assert data["charts"][2]["curves"][0] == {"steps": [1, 2], "mean": [2.0, 1.0]}


def test_effects_have_a_line_for_each_setting_of_other_parameters(data: dict[str, Any]) -> None:
    rate, act = data["effects"]  # the stronger one first
    assert (rate["title"], rate["isNumeric"], rate["numbers"]) == (RATE, True, [0.01, 0.1])
    assert (act["values"], act["isNumeric"]) == (["relu", "tanh"], False)
    lines = {line["label"]: [point[:2] for point in line["points"]] for line in rate["lines"]}
    assert lines == {"act=relu": [[0, 0.53], [1, 0.32]], "act=tanh": [[0, 0.64], [1, 0.41]]}
    at_rate = GRID["relu", 0.01]
    _, mean, half, count = rate["lines"][0]["points"][0]
    low, _ = stats.t.interval(0.95, 1, np.mean(at_rate), stats.sem(at_rate))
    expected = np.mean(at_rate), np.mean(at_rate) - low, 2
    assert (mean, half, count) == pytest.approx(expected, rel=1e-5)
    assert rate["means"] == pytest.approx([(0.53 + 0.64) / 2, (0.32 + 0.41) / 2])
    assert rate["isPaired"]


def test_differences_to_the_best_value_equal_those_of_effects(tmp_path: Path) -> None:
    cells = {"relu": [0.30, 0.32, 0.31], "tanh": [0.40, 0.43, 0.42]}
    named = [
        ({"act": act, RATE: rate}, [value / rate for value in values])
        for act, values in cells.items()
        for rate in (0.1, 0.2)
    ]
    write_sweep(tmp_path, named, "val/loss")
    comparison = comparison_of(tmp_path)
    drawn = {one["title"]: one for one in chart_data(comparison)["effects"]}["act"]
    (effect,) = (one for one in effects(comparison) if one.key == "act")
    found = effect.levels[1].difference
    assert found is not None
    assert drawn["best"] == pytest.approx(effect.levels[0].summary.mean, rel=1e-5)
    none, shown = drawn["differences"]
    assert none is None
    assert (shown["low"], shown["high"]) == pytest.approx((found.low, found.high), rel=1e-5)
    assert shown["label"] == "difference to relu"
    assert shown["text"].startswith(
        f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p"
    )


def test_means_of_an_effect_use_only_settings_with_all_values(tmp_path: Path) -> None:
    cells = {("relu", 0.1): 1.0, ("tanh", 0.1): 2.0, ("gelu", 0.1): 9.0, ("relu", 0.01): 3.0}
    cells |= {("tanh", 0.01): 5.0}  # gelu failed there
    named = [({"act": act, RATE: rate}, [value]) for (act, rate), value in cells.items()]
    write_sweep(tmp_path, named, "val/loss")
    effects = {one["title"]: one for one in chart_data(comparison_of(tmp_path))["effects"]}
    assert effects["act"]["values"] == ["gelu", "relu", "tanh"]
    assert effects["act"]["means"] == [9, 1, 2]
    assert effects[RATE]["means"] == [4, 1.5]


def test_without_complete_settings_means_use_all_runs(tmp_path: Path) -> None:
    cells = {("relu", 0.1): 1.0, ("tanh", 0.2): 2.0, ("tanh", 0.3): 4.0}
    named = [({"act": act, RATE: rate}, [value]) for (act, rate), value in cells.items()]
    write_sweep(tmp_path, named, "val/loss")
    effects = {one["title"]: one for one in chart_data(comparison_of(tmp_path))["effects"]}
    assert (effects["act"]["means"], effects["act"]["isPaired"]) == ([1, 3], False)


def test_heat_maps_show_means_of_pairs(data: dict[str, Any]) -> None:
    (found,) = data["heatMaps"]
    assert (found["down"], found["across"]) == (RATE, "act")
    assert (found["rows"], found["columns"]) == (["0.01", "0.1"], ["relu", "tanh"])
    np.testing.assert_allclose(found["means"], [[0.53, 0.64], [0.32, 0.41]])


def test_data_stays_small_with_many_runs_and_steps(tmp_path: Path) -> None:
    for number in range(40):
        params = {RATE: 0.01 * (number + 1), "act": f"{'x' * 200}{number}"}
        run = write_run(tmp_path / str(number), params, values={"val/loss": number + 1.0})
        if number % 10 == 0:
            write_journal(run, [{"step": s, "val/loss": 1.0 / s} for s in range(1, 3000)])
    data = chart_data(comparison_of(tmp_path))
    assert (len(data["variants"]), data["more"]) == (20, 20)
    curve = data["charts"][0]["curves"][0]
    assert len(curve["steps"]) <= 200
    assert (curve["steps"][0], curve["steps"][-1]) == (1, 2999)
    assert len(data["effects"][0]["values"]) == 30
    assert max(len(variant["label"]) for variant in data["variants"]) == 80


def test_without_a_metric_the_data_is_empty(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="FAILED", final=None, best=None)
    data = chart_data(comparison_of(tmp_path))
    assert data == {"variants": [], "charts": [], "effects": [], "heatMaps": []}
