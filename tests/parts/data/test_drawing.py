from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from expt.parts.data.drawing import draw_held_out

SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32 - 1)


@given(st.integers(0, 300), SHARES, SEEDS)
@settings(max_examples=300, deadline=None)
def test_draws_equal_those_of_scikit_learn(count: int, share: float, seed: int) -> None:
    try:
        expected = train_test_split(np.arange(count), test_size=share, random_state=seed)
    except ValueError:
        with pytest.raises(ValueError, match="too small"):
            draw_held_out(count, share, seed)
        return
    for found, half in zip(draw_held_out(count, share, seed), expected, strict=True):
        np.testing.assert_array_equal(found, half)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), SHARES, SEEDS)
@settings(max_examples=300, deadline=None)
def test_stratified_draws_equal_those_of_scikit_learn(
    sizes: Sequence[int], share: float, seed: int
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(range(len(sizes)), sizes))
    count = len(labels)
    try:
        expected = train_test_split(
            np.arange(count), test_size=share, random_state=seed, stratify=labels
        )
    except ValueError:
        with pytest.raises(ValueError, match=r"too small|a single example"):
            draw_held_out(count, share, seed, labels)
        return
    for found, half in zip(draw_held_out(count, share, seed, labels), expected, strict=True):
        np.testing.assert_array_equal(found, half)
