"""Concatenated splits hold the same examples, in memory or on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.example_data import image_folder
from expt.parts.data.dataset import Split
from expt.parts.data.image_files import ImageFiles
from expt.parts.data.images import ImageFolder
from expt.parts.data.joined import JoinedInputs, concatenate_splits
from expt.parts.data.mapped import MappedInputs

INPUTS = np.random.default_rng(0).standard_normal((30, 3))


def mapped(inputs: Any, dtype: Any = np.float64) -> MappedInputs:
    return MappedInputs(inputs, np.arange(len(inputs)), dtype=np.dtype(dtype))


def splits(*is_mapped: bool, weights: Any = None, inputs: Any = INPUTS) -> list[Split]:
    parts = np.split(inputs, [12, 20])
    # The target of an example is its index.
    numbers = np.split(np.arange(30, dtype=np.int32), [12, 20])
    given_weights = weights or [None] * 3
    return [
        Split(mapped(part) if on_disk else part, targets, weight)
        for part, targets, on_disk, weight in zip(
            parts, numbers, is_mapped, given_weights, strict=True
        )
    ]


@settings(max_examples=20, deadline=None)
@given(
    is_mapped=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    indices=st.lists(st.integers(0, 29), max_size=40),
    taken=st.permutations(range(30)),
)
def test_joined_reads_the_inputs_of_all_splits(
    is_mapped: tuple[bool, ...], indices: list[int], taken: list[int]
) -> None:
    whole = concatenate_splits(splits(*is_mapped))
    assert isinstance(whole.inputs, JoinedInputs) == any(is_mapped)
    assert len(whole) == 30
    chosen, order = np.asarray(indices, np.intp), np.asarray(taken)
    np.testing.assert_array_equal(whole.read(chosen), INPUTS[chosen])
    # Taken twice, in an order that mixes the splits.
    part = whole.take(order).take(np.arange(25))
    np.testing.assert_array_equal(part.read(np.arange(25)), INPUTS[order[:25]])
    np.testing.assert_array_equal(part.targets, order[:25])


def test_fingerprint_depends_on_content_and_order() -> None:
    def inputs_of(values: Any) -> JoinedInputs:
        inputs = concatenate_splits(splits(True, False, True, inputs=values)).inputs
        assert isinstance(inputs, JoinedInputs)
        return inputs

    whole, changed = inputs_of(INPUTS), INPUTS.copy()
    changed[25] += 1
    others = [whole.take(np.arange(30)[::-1]), whole.take(np.arange(29)), inputs_of(changed)]
    assert len({one.fingerprint for one in (whole, *others)}) == 4
    assert inputs_of(INPUTS.copy()).fingerprint == whole.fingerprint


def test_dtype_holds_the_inputs_of_all_splits() -> None:
    # One split fits into float32, the other does not.
    one, other = mapped(INPUTS[:4].astype("f"), np.float32), mapped(INPUTS[4:6])
    whole = concatenate_splits(
        [Split(inputs, np.zeros(inputs.shape[0], np.int32)) for inputs in (one, other)]
    )
    assert whole.dtype == np.float64
    np.testing.assert_array_equal(whole.first(6)[4:], INPUTS[4:6])


@pytest.mark.parametrize(
    ("given_weights", "expected"),
    [
        ([None, None, None], None),
        (
            [np.full(12, 2, "f"), None, np.full(10, 3, "f")],
            np.repeat([2, 1, 3], [12, 8, 10]),
        ),
    ],
)
def test_splits_without_weights_get_weight_1(given_weights: list[Any], expected: Any) -> None:
    weights = concatenate_splits(splits(False, False, False, weights=given_weights)).weights
    if expected is None:
        assert weights is None
    else:
        np.testing.assert_array_equal(weights, expected)


def test_joined_image_files_are_image_files(tmp_path: Path) -> None:
    """Only a stream of image files can be decoded by TensorFlow, several times faster."""
    image_folder(tmp_path)
    dataset = ImageFolder(path=str(tmp_path), batch_size=4).load()
    whole = concatenate_splits([split for _, split in dataset.splits()])
    assert isinstance(whole.inputs, ImageFiles)
    expected = np.concatenate([split.first(len(split)) for _, split in dataset.splits()])
    np.testing.assert_array_equal(whole.first(40), expected)
