"""Invariance of results under changes of a table's units, names and order."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from expt.config.compose import compose_jobs
from expt.train.backend import start_tensorflow
from expt.train.data_loading import DataLoader
from expt.train.executors.block import make_run_block
from expt.train.input.pipeline import make_pipeline
from expt.train.program import make_program
from expt.train.timeline import make_timeline

RANDOM = np.random.default_rng(7)
A, B = RANDOM.uniform(1, 5, (2, 200))
Y = A * A + B
KIND = np.array(["cat", "dog"])[(Y.mean() < Y).astype(int)]
STEPS = 120


def outcome(folder: Path, columns: Mapping[str, Any], *overrides: str) -> dict[str, float]:
    """Trains on a table whose last column is the target, and returns the validation metrics."""
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    target = list(columns)[-1]
    data = [f"data.path={path}", f"data.target={target}", "data.batch_size=35"]
    model = ["model.units=[16]", "optimizer.learning_rate=0.02", f"loop.steps={STEPS}"]
    (job,), _ = compose_jobs(["data=csv", *data, *model, *overrides], None, multirun=False)
    dataset = DataLoader()(job)
    start_tensorflow(seed=0)
    timeline = make_timeline(job, dataset)
    learner = make_program(job, dataset).learner
    run_block = make_run_block(learner.step, make_pipeline(timeline, dataset), 35, STEPS, "graph")
    run_block(0, timeline.indices(0, STEPS))
    return learner.make_evaluate(dataset.validation, "graph")()[0]


REGRESSION = ("loss=mse", "metric=[r2]")


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    values = outcome(tmp_path_factory.mktemp("plain"), {"a": A, "b": B, "y": Y}, *REGRESSION)
    assert values["r2"] > 0.97
    return values


@pytest.mark.parametrize(
    ("a", "y"),
    [
        (A * 1e-12, Y),
        (A * 1e20, Y * 1e-30),
        (A * 1e-30, Y * 1e30),
        (A * 1e4 + 1.7e12, Y * 1e4 + 1.7e12),  # milliseconds since 1970
    ],
    ids=["farad", "large inputs", "large targets", "offsets"],
)
def test_units_and_offsets_do_not_change_results(
    tmp_path: Path, regression: dict[str, float], a: NDArray[np.float64], y: NDArray[np.float64]
) -> None:
    found = outcome(tmp_path, {"a": a, "b": B, "y": y}, *REGRESSION)
    assert found == pytest.approx(regression, abs=1e-3)


def test_units_in_text_do_not_change_results(tmp_path: Path, regression: dict[str, float]) -> None:
    columns = {"a": [f"{a} kg" for a in A.tolist()], "b": B, "y": Y}
    found = outcome(tmp_path, columns, *REGRESSION)
    assert found == regression


def test_order_of_columns_does_not_change_results(
    tmp_path: Path, regression: dict[str, float]
) -> None:
    found = outcome(tmp_path, {"b": B, "a": A, "y": Y}, *REGRESSION)
    assert found["r2"] == pytest.approx(regression["r2"], abs=0.02)


def test_names_of_classes_do_not_change_results(tmp_path: Path) -> None:
    expected = outcome(tmp_path, {"a": A, "b": B, "kind": KIND})
    assert expected["accuracy"] > 0.9
    numbers = np.where(KIND == "cat", "01", "1")  # in the same order
    assert outcome(tmp_path, {"a": A, "b": B, "kind": numbers}) == expected
    swapped = np.where(KIND == "cat", "zebra", "ape")
    found = outcome(tmp_path, {"a": A, "b": B, "kind": swapped})
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=0.07)
