from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from expt.config.cadence import Cadence
from expt.parts.data.dataset import Dataset, Split
from expt.train.timeline import Timeline
from expt.verification.data import (
    describe_batches,
    describe_splits,
    differing_batches,
    differing_splits,
)

RANDOM = np.random.default_rng(0)
WHOLE = Split(
    RANDOM.normal(size=(30, 2)).astype(np.float32), np.arange(30, dtype=np.int32), np.ones(30, "f")
)
NEVER = Cadence.parse(None)
PLAN = Timeline(0, 5, 2, 10, 4, NEVER)


def dataset(order: Any = None, split: Split = WHOLE) -> Dataset:
    parts = np.split(np.arange(30) if order is None else order, 3)
    train, validation, test = (split.take(part) for part in parts)
    names = tuple(map(str, range(30)))
    return Dataset("toy", "classification", train, validation, test, 4, names)


def test_equal_data_has_no_difference() -> None:
    first, again = (describe_batches(PLAN, dataset(), 0) for _ in range(2))
    assert differing_batches(first, again) is None
    assert differing_batches(first, describe_batches(PLAN, dataset(), 3)) is None
    assert sum("step" in name for name in describe_batches(PLAN, dataset(), 3)) == 2


def test_different_order_is_distinguished_from_different_content() -> None:
    expected = describe_batches(PLAN, dataset(), 0)
    row = PLAN.indices(3, 1)[0]
    inputs = WHOLE.inputs.copy()  # type: ignore[union-attr]
    inputs[row[[0, 1]]] = inputs[row[[1, 0]]]
    difference = differing_batches(
        expected, describe_batches(PLAN, dataset(split=replace(WHOLE, inputs=inputs)), 3)
    )
    assert difference == "the batch of step 4 has the same inputs in a different order"
    inputs[row[2]] += 1
    difference = differing_batches(
        expected, describe_batches(PLAN, dataset(split=replace(WHOLE, inputs=inputs)), 3)
    )
    assert difference == "the batch of step 4 has different inputs"


def test_weights_and_other_splits_count() -> None:
    expected = describe_batches(PLAN, dataset(), 0)
    weights = np.ones(30, np.float32)
    weights[21] = 2
    changed = describe_batches(PLAN, dataset(split=replace(WHOLE, weights=weights)), 0)
    difference = differing_batches(expected, changed)
    assert difference == "the beginning of the test split has different targets"


def shuffled(*parts: Any) -> Any:
    return np.concatenate([np.random.default_rng(1).permutation(part) for part in parts])


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (shuffled(np.arange(30)), "its splits have the same inputs, but distributed differently"),
        (
            np.concatenate([shuffled(np.arange(10)), np.arange(10, 30)]),
            "the train split has the same inputs in a different order",
        ),
        (
            np.concatenate([np.arange(20), np.arange(19, 29)]),
            "the test split has different inputs",
        ),
    ],
)
def test_differences_between_splits_are_named(order: Any, expected: str) -> None:
    found = differing_splits(describe_splits(dataset()), describe_splits(dataset(order)))
    assert found == expected


def test_different_names_of_columns_are_found() -> None:
    described = [
        describe_splits(replace(dataset(), feature_names=tuple(names))) for names in ("ab", "ba")
    ]
    assert differing_splits(*described) == "the data has different names of classes or columns"
