import numpy as np
import pytest

from expt.errors import UserError
from expt.parts.data.splitting import split_indices


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


def test_names_stratify_as_numbers_do() -> None:
    labels = np.arange(40) % 3
    names = np.array(["ant", "bee", "cat"])[labels]
    for one, other in zip(split_indices(40, 3, labels), split_indices(40, 3, names), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stratify", [None, np.arange(60) % 2])
def test_splits_depend_on_the_seed_alone(stratify: np.ndarray | None) -> None:
    first = np.concatenate(split_indices(60, 1, stratify))
    np.random.seed(123)  # the global state has no say
    np.testing.assert_array_equal(np.concatenate(split_indices(60, 1, stratify)), first)
    assert not np.array_equal(np.concatenate(split_indices(60, 2, stratify)), first)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("others", [20, 1000])
def test_a_class_that_would_miss_from_a_split_is_named(count: int, others: int) -> None:
    labels = np.repeat(["many", "few"], [others, count])
    with pytest.raises(UserError, match=rf"class few has {count} example\(s\); expected at least"):
        split_indices(len(labels), 0, labels)


@pytest.mark.parametrize("others", [7, 20, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_five_of_a_class_suffice(others: int, seed: int) -> None:
    labels = np.repeat([0, 1], [others, 5])
    for split in split_indices(len(labels), seed, labels):
        assert set(labels[split]) == {0, 1}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_examples(count: int) -> None:
    with pytest.raises(UserError, match=f"{count} examples are too few to split"):
        split_indices(count, 0)
