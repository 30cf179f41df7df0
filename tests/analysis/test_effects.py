from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analysis.made_runs import write_run
from expt.analysis.compared_run import read_compared
from expt.analysis.effects import Effect, effects
from expt.analysis.table import Comparison, compare
from expt.analysis.variants import Verdict

Value = Callable[[Mapping[str, Any], int], float]


def grid(folder: Path, value: Value, *, lacking: tuple[tuple[str, float], ...] = ()) -> Comparison:
    """Writes and compares runs of two activations, three learning rates and two seeds."""
    for act in ("relu", "tanh"):
        for rate in (0.001, 0.01, 0.1):
            for seed in (0, 1):
                if (act, rate) in lacking:
                    continue
                params = {"act": act, "optimizer.learning_rate": rate}
                values = {"val/accuracy": value(params, seed), "val/loss": 1.0}
                write_run(folder / f"{act}{rate}{seed}", params, seed=seed, values=values)
    runs = [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]
    return compare(runs, "val/accuracy")


def by_key(comparison: Comparison) -> dict[str, Effect]:
    return {effect.key: effect for effect in effects(comparison)}


def noise(params: Mapping[str, Any], seed: int) -> float:
    number = int(params["optimizer.learning_rate"] * 1000) + 7919 * seed + len(params["act"])
    spoiled = number + 31 * (params["act"] == "tanh")
    return float(np.random.default_rng(spoiled).normal(0, 0.002))


RATES = {0.001: 0.0, 0.01: 0.2, 0.1: -0.3}


def accuracy(params: Mapping[str, Any], seed: int) -> float:
    return float(
        0.6
        + RATES[float(params["optimizer.learning_rate"])]
        - 0.05 * (params["act"] == "tanh")
        + noise(params, seed)
    )


def test_values_are_compared_with_the_other_parameters_equal(tmp_path: Path) -> None:
    """Without blocks, the learning rates would hide the effect of the activation."""
    found = by_key(grid(tmp_path, accuracy))
    assert list(found) == ["optimizer.learning_rate", "act"]  # the larger effect comes first
    act = found["act"]
    assert (act.num_blocks, act.num_left_out) == (6, 0)
    relu, tanh = act.levels
    assert (relu.verdict, tanh.verdict) == (Verdict.BEST, Verdict.WORSE)
    columns = [
        [
            accuracy({"act": name, "optimizer.learning_rate": rate}, seed)
            for rate in RATES
            for seed in (0, 1)
        ]
        for name in ("relu", "tanh")
    ]
    assert tanh.difference is not None
    assert tanh.difference.value == pytest.approx(np.mean(columns[1]) - np.mean(columns[0]))
    assert tanh.difference.p == pytest.approx(stats.ttest_rel(*columns).pvalue, rel=1e-6)
    assert stats.ttest_ind(*columns).pvalue > 0.3
    assert relu.summary.mean == pytest.approx(np.mean(columns[0]))


def test_numeric_values_are_in_ascending_order(tmp_path: Path) -> None:
    found = by_key(grid(tmp_path, accuracy))["optimizer.learning_rate"]
    assert [level.value for level in found.levels] == [0.001, 0.01, 0.1]
    assert found.best.value == 0.01
    assert found.span == pytest.approx(0.5, abs=0.01)


def test_only_complete_blocks_count(tmp_path: Path) -> None:
    """The rate that makes everything worse was never tried with tanh."""
    found = by_key(grid(tmp_path, accuracy, lacking=(("tanh", 0.1),)))
    act = found["act"]
    assert (act.num_blocks, act.num_left_out) == (4, 2)
    assert act.best.value == "relu"
    assert found["optimizer.learning_rate"].num_blocks == 2


def test_without_a_complete_block_there_is_no_effect(tmp_path: Path) -> None:
    """Each activation has its own learning rates."""
    lacking = (("tanh", 0.1), ("tanh", 0.01), ("relu", 0.001))
    assert by_key(grid(tmp_path, accuracy, lacking=lacking)) == {}


def test_the_correction_covers_the_pairs_of_all_parameters(tmp_path: Path) -> None:
    """One pair of activations and three of learning rates."""
    comparison = grid(tmp_path, lambda params, seed: noise(params, seed) + 0.5)
    act = by_key(comparison)["act"]
    (difference,) = (level.difference for level in act.levels if level.difference)
    assert difference.corrected == pytest.approx(min(1, 4 * difference.p))


def test_without_a_metric_there_are_no_effects(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="FAILED", final=None, best=None)
    assert effects(compare([read_compared(tmp_path / "a")])) == []
