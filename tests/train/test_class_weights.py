"""Tests of `loss.class_weights=balanced`; without TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from expt.config.compose import compose_jobs
from expt.config.job import Job
from expt.errors import UserError
from expt.parts.data.class_balance import balanced_weights
from expt.parts.data.dataset import Dataset, Split
from expt.runs.find import FoundRun
from expt.runs.records import RunRecord
from expt.train.class_weights import class_weights
from expt.train.data_loading import DataLoader
from expt.train.saved_model import _with_recorded_weights

BALANCED = "loss.class_weights=balanced"


def compose_one(*overrides: str) -> Job:
    (job,), _ = compose_jobs(list(overrides), None, multirun=False)
    return job


def dataset(train: list[int], names: str = "abc", weights: Any = None) -> Dataset:
    """Returns data whose splits have different class frequencies."""
    weights = None if weights is None else np.asarray(weights, np.float32)
    first, second, third = (
        Split(np.zeros((len(labels), 2), np.float32), np.asarray(labels, np.int32), of_split)
        for labels, of_split in ((train, weights), ([0, 0], None), ([1], None))
    )
    return Dataset(
        "toy", "classification", first, second, third, batch_size=1, class_names=tuple(names)
    )


@given(st.lists(st.integers(0, 2), max_size=40))
@settings(max_examples=30, deadline=None)
def test_balanced_weights_equal_those_of_scikit_learn(more: list[int]) -> None:
    labels = [0, 1, 2, *more]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=np.asarray(labels))
    found = balanced_weights(dataset(labels))
    np.testing.assert_allclose(found, expected)
    totals = np.bincount(labels) * found  # each class counts alike, and all together as before
    np.testing.assert_allclose(totals, len(labels) / 3)


def test_class_counts_include_example_weights() -> None:
    labels, weights = [0, 0, 1, 2], [1.0, 3.0, 2.0, 0.5]
    found = balanced_weights(dataset(labels, weights=weights))
    np.testing.assert_allclose(found, 6.5 / 3 / np.array([4, 2, 0.5]))


@pytest.mark.parametrize("loss", ["crossentropy", "focal"])
def test_balanced_weights_are_used_if_the_config_requests_them(loss: str) -> None:
    data = dataset([0, 0, 0, 1, 1, 2])
    found = class_weights(compose_one(f"loss={loss}", BALANCED), data)
    assert found == pytest.approx([6 / 9, 6 / 6, 6 / 3])
    assert class_weights(compose_one(f"loss={loss}"), data) is None
    listed = compose_one(f"loss={loss}", "loss.class_weights=[1.0,2.0,3.0]")
    assert class_weights(listed, data) is None


@pytest.mark.parametrize(
    ("train", "names", "message"),
    [
        ([0, 2], "abc", "no example of class b, whose weight would be infinite"),
        ([0], "abcd", "no example of class b and of 2 other classes"),
    ],
)
def test_class_without_examples_is_named(train: list[int], names: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^loss.class_weights=balanced: .*{message}"):
        class_weights(compose_one(BALANCED), dataset(train, names))


def test_other_text_as_class_weights_is_an_error() -> None:
    job = compose_one("loss.class_weights=balance")
    with pytest.raises(UserError, match="=balance: expected balanced, a list of 10 positive num"):
        DataLoader()(job)


def test_evaluation_uses_the_recorded_class_weights(tmp_path: Path) -> None:
    job = compose_one(BALANCED)
    recorded = FoundRun(tmp_path, RunRecord.of({"class_weights": [0.5, 2.0]}), tmp_path)
    changed = _with_recorded_weights(job, recorded)
    assert changed.config.loss["class_weights"] == [0.5, 2.0]
    assert job.config.loss["class_weights"] == "balanced"
    assert _with_recorded_weights(job, FoundRun(tmp_path, RunRecord(), tmp_path)) is job
