from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.made_runs import write_journal, write_run, write_sweep
from expt.analysis.compared_run import read_compared
from expt.analysis.curves import average, curves, read_points
from expt.analysis.table import compare


class TestPoints:
    def test_a_short_journal_is_read_completely(self, tmp_path: Path) -> None:
        records = [{"step": 1, "val/loss": 3.0}, {"step": 1, "train/loss": 9.0}]
        write_journal(tmp_path, [*records, {"step": 2, "val/loss": 2.0}], end='{"step": 3, "val/')
        steps, values = read_points(tmp_path / "metrics.jsonl", ["val/loss"])["val/loss"]
        assert (steps.tolist(), values.tolist()) == ([1, 2], [3, 2])

    @pytest.mark.parametrize("count", [399, 400, 401, 1000, 12345])
    def test_a_long_journal_is_thinned_evenly(self, count: int, tmp_path: Path) -> None:
        write_journal(tmp_path, [{"step": s, "train/loss": 2.0 * s} for s in range(1, count + 1)])
        steps, values = read_points(tmp_path / "metrics.jsonl", ["train/loss"])["train/loss"]
        assert 200 <= len(steps) <= 401
        assert (steps[0], steps[-1]) == (1, count)
        assert len(set(np.diff(steps)[:-1])) == 1
        np.testing.assert_array_equal(values, 2 * steps)

    def test_damaged_lines_and_nan_are_skipped(self, tmp_path: Path) -> None:
        write_journal(tmp_path, [{"step": 1, "val/loss": "nan"}, {"step": 2, "val/loss": 1.0}])
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('damage "val/loss": 7\n{"step": [], "val/loss": 1}\n')
        found = read_points(tmp_path / "metrics.jsonl", ["val/loss"])
        assert found["val/loss"][0].tolist() == [2]

    def test_without_a_journal_there_are_no_points(self, tmp_path: Path) -> None:
        found = read_points(tmp_path / "metrics.jsonl", ["val/loss"])
        assert len(found["val/loss"][0]) == 0

    def test_metrics_on_different_lines_are_read_in_one_pass(self, tmp_path: Path) -> None:
        lines = [{"step": s, "train/loss": s / 2} for s in (1, 2, 3)]
        write_journal(tmp_path, [*lines, {"step": 3, "val/loss": 7.0, "val/accuracy": 0.5}])
        found = read_points(tmp_path / "metrics.jsonl", ["val/loss", "train/loss", "val/auc"])
        assert {name: values.tolist() for name, (_, values) in found.items()} == {
            "val/loss": [7.0],
            "train/loss": [0.5, 1.0, 1.5],
            "val/auc": [],
        }


class TestAverage:
    def test_mean_and_band_equal_those_of_scipy(self) -> None:
        steps = np.arange(1.0, 6.0)
        values = np.random.default_rng(0).normal(1, 0.3, (4, 5))
        found = average([(steps, row) for row in values])
        low, high = stats.t.interval(0.95, 3, values.mean(0), stats.sem(values))
        np.testing.assert_allclose(found.mean, values.mean(0))
        np.testing.assert_allclose(found.low, low)
        np.testing.assert_allclose(found.high, high)

    def test_runs_of_different_lengths_count_up_to_their_last_step(self) -> None:
        one = np.array([0.0, 2.0, 4.0]), np.array([0.0, 2.0, 4.0])
        other = np.array([0.0, 1.0, 2.0]), np.array([2.0, 3.0, 4.0])
        found = average([one, other])
        np.testing.assert_allclose(found.steps, [0, 2, 4])
        np.testing.assert_allclose(found.mean, [1, 3, 4])
        assert np.isfinite(found.low).tolist() == [True, True, False]


def test_curves_average_the_runs_of_a_variant(tmp_path: Path) -> None:
    write_sweep(tmp_path, [({"act": "relu"}, [0.1, 0.2])], "val/loss")
    for number in range(2):
        write_journal(tmp_path / f"{number}_job", [{"step": 5, "val/loss": 1.0 + number}])
    write_run(tmp_path / "x", {"act": "tanh"})
    runs = [read_compared(file.parent) for file in sorted(tmp_path.rglob("run.json"))]
    relu, tanh = compare(runs).variants
    found = curves(relu, ["val/loss", "val/accuracy"])
    assert list(found) == ["val/loss"]
    assert (found["val/loss"].steps.tolist(), found["val/loss"].mean.tolist()) == ([5], [1.5])
    assert curves(tanh, ["val/loss"]) == {}
