"""Tests of the note on the layer and the quantity that separate two variants."""

from collections.abc import Mapping
from pathlib import Path

from analysis.made_runs import write_journal, write_run
from expt.analysis.compared_run import read_compared
from expt.analysis.table import compare

RELU = {
    "within/gradient_norm/dense": 0.2,
    "within/gradient_norm/dense_1": 0.1,
    "within/dead_share/re_lu": 0.3,
}
SIGMOID = {
    "within/gradient_norm/dense": 2e-6,
    "within/gradient_norm/dense_1": 0.01,
    "within/gradient_norm/all": 1e-12,
}


def run(directory: Path, act: str, columns: Mapping[str, float], seed: int = 0) -> None:
    write_run(directory, {"act": act}, seed=seed)
    write_journal(
        directory,
        [
            {"step": 0, **dict.fromkeys(columns, 1e9)},  # medians do not see a single outlier
            {"step": 1, "train/loss": 2.0},
            *({"step": step, **columns} for step in (1, 2)),
        ],
        end='{"step": 3, "within/gradient_norm/dense": ',
    )


def notes(folder: Path) -> list[str]:
    runs = [read_compared(file.parent) for file in sorted(folder.rglob("run.json"))]
    return [note for note in compare(runs).notes if note.startswith("Inside the model")]


def test_layer_and_quantity_with_the_largest_ratio(tmp_path: Path) -> None:
    run(tmp_path / "a", "relu", RELU)
    run(tmp_path / "b", "sigmoid", SIGMOID)
    run(tmp_path / "c", "sigmoid", {**SIGMOID, "within/gradient_norm/dense": 2e-4}, seed=1)
    (note,) = notes(tmp_path)
    assert "gradient_norm of the layer dense separates them most" in note
    assert "0.2 with act=relu" in note
    assert "0.00002 with act=sigmoid" in note  # the geometric mean over seeds


def test_equal_variants_are_not_separated(tmp_path: Path) -> None:
    run(tmp_path / "a", "relu", RELU)
    run(tmp_path / "b", "gelu", {name: 2 * value for name, value in RELU.items()})
    assert notes(tmp_path) == []


def test_other_numbers_of_variants(tmp_path: Path) -> None:
    run(tmp_path / "a", "relu", RELU)
    assert notes(tmp_path) == []
    run(tmp_path / "b", "sigmoid", SIGMOID)
    run(tmp_path / "c", "tanh", SIGMOID)
    assert notes(tmp_path) == []


def test_runs_without_probes(tmp_path: Path) -> None:
    run(tmp_path / "a", "relu", {"val/loss": 0.1})
    write_run(tmp_path / "b", {"act": "tanh"})  # without a journal
    assert notes(tmp_path) == []
