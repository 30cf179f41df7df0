import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from analysis.made_runs import write_run, write_sweep
from expt.analysis.compared_run import read_compared
from expt.analysis.table import Comparison, compare
from expt.analysis.verdict import headline


def comparison_of(folder: Path, metric: str = "val/accuracy", **options: Any) -> Comparison:
    runs = [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]
    return compare(runs, metric, **options)


def accuracies(folder: Path, columns: Mapping[str, Sequence[float]]) -> Path:
    named = [({"act": act}, column) for act, column in columns.items()]
    return write_sweep(folder, named, "val/accuracy")


GOOD, CLOSE, BAD = [0.970, 0.974, 0.972], [0.969, 0.975, 0.968], [0.70, 0.71, 0.72]


def test_a_significant_result(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": BAD, "gelu": [value - 0.1 for value in BAD]})
    text = headline(comparison_of(tmp_path))
    assert text.startswith("act=relu has the highest val/accuracy: 0.9720 ± 0.0050 (n = 3). ")
    assert "All 2 others are significantly worse; the nearest is act=tanh, 0.2620 lower" in text
    assert re.search(r"\(95 % interval 0\.2\d* to 0\.2\d* lower, p", text)
    assert "p < 0.001" in text
    assert text.endswith(
        "The p-value and the interval are corrected (Holm) for picking the best of 3 after seeing "
        "the data."
    )


def test_a_result_that_is_not_significant(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": CLOSE, "gelu": BAD})
    text = headline(comparison_of(tmp_path))
    assert "Inconclusive: 1 of the 2 others may be just as good, 1 is significantly worse" in text
    assert "the nearest is act=tanh, 0.0013 lower (95 % interval 0." in text
    assert "the same" not in text


def test_the_interval_has_the_signs_of_the_table(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": CLOSE})
    comparison = comparison_of(tmp_path)
    difference = comparison.variants[1].difference
    assert difference is not None
    assert difference.low < -0.004 < 0.001 < difference.high
    low, high = f"{-difference.low:.4f}", f"{difference.high:.4f}"
    assert f"0.0013 lower (95 % interval {low} lower to {high} higher, p" in headline(comparison)


def test_a_tiny_difference_has_two_digits(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": [value - 1.234567e-6 for value in GOOD]})
    text = headline(comparison_of(tmp_path))
    assert "act=tanh may be just as good, 0.0000012 lower (95 % interval 0.00" in text


def test_a_result_within_the_margin_is_equivalent(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": CLOSE})
    text = headline(comparison_of(tmp_path, margin=0.05))
    assert "act=tanh is equivalent within ±0.05, 0.0013 lower" in text


def test_two_variants_need_no_correction(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": BAD})
    text = headline(comparison_of(tmp_path))
    assert "act=tanh is significantly worse, 0.2620 lower (95 % interval" in text
    assert "picking" not in text


def test_smaller_losses_are_better(tmp_path: Path) -> None:
    columns = [({"act": "relu"}, [0.1, 0.2, 0.3]), ({"act": "tanh"}, [0.5, 0.7, 0.6])]
    write_sweep(tmp_path, columns, "val/loss")
    text = headline(comparison_of(tmp_path, "val/loss"))
    assert text.startswith("act=relu has the lowest val/loss: 0.2000 ± ")
    assert "act=tanh is significantly worse, 0.4000 higher (95 % interval 0.1" in text


def test_a_metric_of_the_best_checkpoint_is_named_so(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": BAD})
    text = headline(comparison_of(tmp_path, "best/val/accuracy"))
    assert text.startswith("act=relu has the highest val/accuracy (best checkpoint): 0.9720")


def test_single_runs_are_not_tested(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": [0.9], "tanh": [0.8]})
    assert "unknown: a test needs at least two seeds for each" in headline(comparison_of(tmp_path))


def test_variants_without_a_test_are_counted(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD, "tanh": CLOSE, "gelu": [0.9]})
    text = headline(comparison_of(tmp_path))
    assert (
        "Inconclusive: 1 of the 2 others may be just as good, 1 is not tested; the nearest is"
        in text
    )


def test_a_single_variant_is_summarized(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": GOOD})
    expected = "One variant: val/accuracy 0.9720 ± 0.0050, n = 3."
    assert headline(comparison_of(tmp_path)) == expected


def test_without_a_finished_run_there_is_no_result(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="FAILED", final=None, best=None)
    comparison = compare([read_compared(tmp_path / "a")])
    assert headline(comparison) == "No finished run has a metric to compare."


def test_the_nearest_variant_has_a_unique_name(tmp_path: Path) -> None:
    grid = [
        ({"act": act, "optimizer.learning_rate": rate}, [base + rate, base + rate + 0.01])
        for act, base in (("relu", 0.8), ("tanh", 0.5))
        for rate in (0.01, 0.02)
    ]
    write_sweep(tmp_path, grid, "val/accuracy")
    text = headline(comparison_of(tmp_path))
    assert text.startswith("act=relu learning_rate=0.02 has the highest")
    assert "the nearest is act=relu learning_rate=0.01, " in text


@pytest.mark.parametrize("length", [10, 300])
def test_long_names_are_clipped(tmp_path: Path, length: int) -> None:
    accuracies(tmp_path, {"x" * length: GOOD, "y" * length: BAD})
    assert len(headline(comparison_of(tmp_path))) < 400


def test_different_data_is_compared_with_a_warning(tmp_path: Path) -> None:
    named = [({"data": data}, GOOD) for data in ("digits", "iris")]
    write_sweep(tmp_path, named, "val/accuracy")
    text = headline(comparison_of(tmp_path))
    assert text.startswith("Not comparable, because the runs used different data")
    accuracies(tmp_path / "one", {"relu": GOOD, "tanh": CLOSE})
    assert headline(comparison_of(tmp_path / "one")).startswith("act=relu has the highest")


def test_different_content_of_data_is_compared_with_a_warning(tmp_path: Path) -> None:
    for number, (noise, seed) in enumerate((noise, seed) for noise in (0, 1) for seed in (0, 1)):
        data = {"name": "spirals", "fingerprint": f"{noise}" * 32}
        params = {"data.noise": noise / 10}
        values = {"val/accuracy": 0.9 - noise / 10 + seed / 100}
        write_run(tmp_path / str(number), params, seed=seed, values=values, data=data)
    text = headline(comparison_of(tmp_path))
    assert text.startswith(
        "Not comparable, because the runs used different data (data.noise varies): noise=0 has"
    )


def test_replicates_with_different_data_are_comparable(tmp_path: Path) -> None:
    for act, base in (("relu", 0.9), ("tanh", 0.5)):
        for split in (0, 1, 2):
            data = {"name": "digits", "fingerprint": f"{split}" * 32}
            params = {"act": act, "data.split_seed": split}
            values = {"val/accuracy": base + split / 100}
            write_run(tmp_path / f"{act}{split}", params, values=values, data=data)
    comparison = comparison_of(tmp_path, replicates=["seed", "data.split_seed"])
    assert headline(comparison).startswith("act=relu has the highest val/accuracy: 0.9100 ")


def test_equal_means_are_called_equal(tmp_path: Path) -> None:
    accuracies(tmp_path, {"relu": [0.9, 0.8], "tanh": [0.8, 0.9], "gelu": [0.9, 0.7]})
    text = headline(comparison_of(tmp_path))
    assert "Inconclusive: all 2 others may be just as good; the nearest is" in text
    assert ", equal (95 % interval 2.5452 lower to 2.5452 higher, p = 1.00)" in text
