from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from expt.errors import UserError
from expt.parts.data.splitting import Indices, group_split_indices, split_indices

SHARES = np.array([0.70, 0.15, 0.15])


def check_parts(parts: Indices, labels: NDArray[Any]) -> None:
    """Asserts that the splits are disjoint and complete, and that each has every class."""
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for part in parts:
        np.testing.assert_array_equal(np.unique(labels[part]), np.unique(labels))


@pytest.mark.parametrize("count", [10, 20, 101, 1000])
@pytest.mark.parametrize("seed", [0, 7])
def test_each_example_is_in_one_split(count: int, seed: int) -> None:
    splits = split_indices(count, seed)
    assert sorted(np.concatenate(splits)) == list(range(count))
    sizes = [len(split) for split in splits]
    np.testing.assert_allclose(sizes, count * np.array([0.70, 0.15, 0.15]), atol=1)


def test_each_split_has_its_share_of_each_class() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [200, 60, 20]))
    for split, share in zip(split_indices(280, 0, labels), (0.70, 0.15, 0.15), strict=True):
        np.testing.assert_allclose(
            np.bincount(labels[split]), share * np.array([200, 60, 20]), atol=0.5
        )


def test_names_stratify_like_numbers() -> None:
    labels = np.arange(40) % 3
    names = np.array(["ant", "bee", "cat"])[labels]
    for one, other in zip(split_indices(40, 3, labels), split_indices(40, 3, names), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stratify", [None, np.arange(60) % 2])
def test_splits_depend_only_on_the_seed(stratify: np.ndarray | None) -> None:
    first = np.concatenate(split_indices(60, 1, stratify))
    np.random.seed(123)  # the global generator must not influence the split
    np.testing.assert_array_equal(np.concatenate(split_indices(60, 1, stratify)), first)
    assert not np.array_equal(np.concatenate(split_indices(60, 2, stratify)), first)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("others", [20, 1000])
def test_class_with_too_few_examples_is_reported(count: int, others: int) -> None:
    labels = np.repeat(["many", "few"], [others, count])
    with pytest.raises(UserError, match=rf"class few has {count} example\(s\); expected at least"):
        split_indices(len(labels), 0, labels)


@pytest.mark.parametrize("size", [5, 6, 7, 8])
@pytest.mark.parametrize("others", [(5,), (8, 8), (20,), (95,), (7,) * 10])
def test_five_examples_of_a_class_are_enough(size: int, others: Sequence[int]) -> None:
    labels = np.repeat(np.arange(1 + len(others)), [size, *others])
    for seed in range(40):
        check_parts(split_indices(len(labels), seed, labels), labels)


def test_five_examples_among_a_hundred_are_enough_for_any_seed() -> None:
    labels = np.repeat(["many", "few"], [95, 5])
    for seed in range(200):
        parts = split_indices(100, seed, labels)
        check_parts(parts, labels)
        assert [len(part) for part in parts] == [70, 15, 15]


def test_a_thousand_small_classes() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(1000), 6))
    parts = split_indices(6000, 0, labels)
    check_parts(parts, labels)
    assert [len(part) for part in parts] == [4000, 1000, 1000]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(5, 40), min_size=2, max_size=30), st.integers(0, 2**32 - 1))
def test_every_class_has_its_share_in_each_split(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    parts = split_indices(len(labels), seed, labels)
    check_parts(parts, labels)
    for part, share in zip(parts, SHARES, strict=True):
        counts = np.bincount(labels[part])
        np.testing.assert_allclose(counts, share * np.array(sizes), atol=2.01)
    # A small class has at least one example in each split, which can be more than its share.
    least = sum(max(1.0, 0.15 * size) for size in sizes)
    assert abs(len(parts[1]) - len(parts[2])) <= 1
    assert 0.15 * len(labels) - 1.5 <= len(parts[2]) <= least + 1.5


def test_rounding_errors_of_classes_do_not_add_up() -> None:
    # 15 % of 16 are 2.4: rounded alike, 31 classes would lose 12 examples of each split.
    labels = np.repeat(np.arange(32), [5, *[16] * 31])
    for seed in range(20):
        sizes = [len(part) for part in split_indices(len(labels), seed, labels)]
        np.testing.assert_allclose(sizes, SHARES * len(labels), atol=2)


def test_splits_are_those_of_scikit_learn_if_complete() -> None:
    # Existing runs must keep their splits.
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [50, 30, 20]))
    for seed, stratify in ((0, labels), (3, labels), (3, None)):
        train, rest = train_test_split(
            np.arange(100), test_size=0.3, random_state=seed, stratify=stratify
        )
        validation, test = train_test_split(
            rest,
            test_size=0.5,
            random_state=seed,
            stratify=None if stratify is None else labels[rest],
        )
        for found, expected in zip(
            split_indices(100, seed, stratify), (train, validation, test), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_one_of_many_rare_classes_is_named_and_the_others_counted() -> None:
    labels = np.array([f"name {number // 2}" for number in range(2000)])
    with pytest.raises(UserError, match=r"class name 0 has 2 .* and 999 more classes") as error:
        split_indices(2000, 0, labels)
    assert len(str(error.value)) < 200  # the other classes are counted, not listed


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_examples_are_reported(count: int) -> None:
    with pytest.raises(UserError, match=f"{count} examples are too few to split"):
        split_indices(count, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=60),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_groups_are_not_divided(sizes: list[int], seed: int, shuffled: bool) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    if shuffled:
        groups = np.random.default_rng(seed).permutation(groups)
    parts = group_split_indices(groups, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(groups)))
    names = [set(groups[part].tolist()) for part in parts]
    assert all(names)
    assert sum(map(len, names)) == len(sizes)
    # A split misses its share by at most about the size of the largest group.
    counts = np.array([len(part) for part in parts])
    np.testing.assert_allclose(counts, SHARES * len(groups), atol=max(sizes) + 2)


def test_groups_of_one_example_are_split_like_examples() -> None:
    parts = group_split_indices(np.arange(200).astype(str), 0)
    assert [len(part) for part in parts] == [140, 30, 30]


def test_groups_of_one_class_each_keep_the_shares_of_classes() -> None:
    groups = np.repeat(np.arange(120), 1 + np.arange(120) % 5)
    labels = np.array(["ill", "well", "well"])[groups % 3]
    for seed in range(10):
        for part, share in zip(group_split_indices(groups, seed, labels), SHARES, strict=True):
            for name in ("ill", "well"):
                assert (labels[part] == name).sum() == pytest.approx(
                    share * (labels == name).sum(), abs=5
                )


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_classes_of_three_groups_are_in_every_split(num_classes: int) -> None:
    random = np.random.default_rng(num_classes)
    for seed in range(40):
        groups = np.repeat(np.arange(3 * num_classes), random.integers(1, 20, 3 * num_classes))
        labels = groups % num_classes
        for part in group_split_indices(groups, seed, labels):
            np.testing.assert_array_equal(np.unique(labels[part]), np.arange(num_classes))


def test_three_groups_are_one_for_each_split() -> None:
    groups = np.repeat(["a", "b", "c"], [1, 90, 3])
    for labels in (None, np.arange(94) % 2):
        parts = group_split_indices(groups, 0, labels)
        assert sorted(len(part) for part in parts) == [1, 3, 90]
        assert len(parts[0]) == 90


def test_splits_of_groups_depend_only_on_the_seed() -> None:
    # All groups differ in size: sorted by size alone, every seed would have the same order.
    groups = np.repeat(np.arange(30), 1 + np.arange(30))
    first = np.concatenate(group_split_indices(groups, 1))
    np.random.seed(123)
    np.testing.assert_array_equal(np.concatenate(group_split_indices(groups, 1)), first)
    tests = {group_split_indices(groups, seed)[2].tobytes() for seed in range(10)}
    assert len(tests) > 5


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_groups_are_reported(count: int) -> None:
    with pytest.raises(UserError, match=rf"there are {count} group\(s\); expected at least 3"):
        group_split_indices(np.arange(40) % count, 0)


def test_class_missing_from_the_train_split_is_reported() -> None:
    # Each class is one group, so two of the three classes can't be in the train split.
    groups = np.repeat(["a", "b", "c"], 20)
    with pytest.raises(UserError, match=r"class (a|b|c) is in no group of the train split"):
        group_split_indices(groups, 0, groups)
