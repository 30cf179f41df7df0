from itertools import pairwise

import numpy as np
import pytest

from expt.train.input.order import batch_indices


@pytest.mark.parametrize(("num_examples", "batch_size"), [(10, 3), (12, 4), (7, 7), (5, 1)])
def test_epoch_is_a_permutation_cut_into_full_batches(num_examples: int, batch_size: int) -> None:
    steps = num_examples // batch_size
    for epoch in range(4):
        rows = batch_indices(3, epoch * steps, steps, num_examples, batch_size)
        assert rows.shape == (steps, batch_size)
        assert rows.dtype == np.int32
        assert len(set(rows.ravel().tolist())) == steps * batch_size
        assert set(rows.ravel().tolist()) <= set(range(num_examples))


@pytest.mark.parametrize("cuts", [[], [1], [3], [3, 6, 9], [2, 5], [1, 2, 3, 4, 5, 6], [11]])
def test_order_does_not_depend_on_blocks(cuts: list[int]) -> None:
    """There are four epochs of three steps each."""
    whole = batch_indices(0, 0, 12, 10, 3)
    borders = [0, *cuts, 12]
    blocks = [batch_indices(0, start, stop - start, 10, 3) for start, stop in pairwise(borders)]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_order_does_not_depend_on_previous_calls() -> None:
    first = batch_indices(1, 5, 4, 20, 4).copy()
    for seed, step in [(2, 0), (1, 100), (3, 5), (1, 0)]:
        batch_indices(seed, step, 7, 20, 4)
    np.testing.assert_array_equal(batch_indices(1, 5, 4, 20, 4), first)


def test_changes_by_the_caller_have_no_effect() -> None:
    first = batch_indices(1, 0, 1, 20, 20)
    copy = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(batch_indices(1, 0, 1, 20, 20), copy)


def test_seeds_and_epochs_have_different_orders() -> None:
    epochs = [batch_indices(seed, 5 * epoch, 5, 50, 10) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({epoch.tobytes() for epoch in epochs}) == len(epochs)


def test_remainder_differs_between_epochs() -> None:
    seen = [set(batch_indices(0, epoch, 1, 10, 8).ravel().tolist()) for epoch in range(6)]
    assert set().union(*seen) == set(range(10))
    assert any(epoch != seen[0] for epoch in seen)


def test_order_is_the_same_in_all_versions() -> None:
    """Runs of older versions could not be resumed or repeated otherwise."""
    assert batch_indices(0, 0, 4, 6, 3).tolist() == [[3, 2, 5], [4, 0, 1], [1, 4, 3], [0, 2, 5]]
