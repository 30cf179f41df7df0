"""Cutting data into train, validation and test splits."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.numbers import is_number

Indices = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""The indices of the train, validation and test examples."""

_FEWEST_OF_A_CLASS = 5


@dataclass(frozen=True)
class Shares:
    """How much of the examples each split gets.

    Attributes:
        train: From 0 to 1.
        validation: From 0 to 1.
        test: From 0 to 1.
    """

    train: float
    validation: float
    test: float

    @classmethod
    def parse(cls, split: object) -> "Shares":
        """Reads `data.split`.

        Raises:
            UserError: It is not three numbers above 0 whose sum is 1.
        """
        given = list(split) if isinstance(split, list | tuple) else []
        if len(given) != 3 or not all(is_number(share) and 0 < share < 1 for share in given):
            raise UserError(
                f"data.split={_written(split)}: expected three numbers between 0 and 1, the shares "
                "of the train, the validation and the test split, such as [0.7,0.15,0.15]."
            )
        if not math.isclose(sum(given), 1, abs_tol=1e-6):
            raise UserError(
                f"data.split={_written(split)}: its sum is {sum(given):.6g}; expected 1. "
                f"Did you mean {_written([round(share / sum(given), 4) for share in given])}?"
            )
        return cls(*map(float, given))


USUAL_SPLIT = (0.7, 0.15, 0.15)
"""The shares of train, validation and test examples if nobody asks for others."""
_USUAL = Shares(*USUAL_SPLIT)


def unused_note(split: object) -> tuple[str, ...]:
    """Says that shares have no effect on data whose splits are all given, if they were asked for.

    Raises:
        UserError: They are no shares.
    """
    if Shares.parse(split) == _USUAL:
        return ()
    return (
        f"data.split={_written(split)} has no effect: the data comes in train, validation and test "
        "splits, which are used as they are.",
    )


def _written(split: object) -> str:
    """Returns shares as a user writes them."""
    return str(list(split) if isinstance(split, list | tuple) else split).replace(" ", "")


def split_indices(
    count: int, seed: int, stratify: NDArray[Any] | None = None, shares: Shares = _USUAL
) -> Indices:
    """Returns the indices of the examples of each split: 70 % train, 15 % validation, 15 % test.

    Args:
        count: How many examples there are.
        seed: Of the choice; it is not the run's seed, so that runs with different seeds compare.
        stratify: Classes, shape [examples]: each split gets its share of each class, and at least
            one example of it.
        shares: Other shares than these.

    Raises:
        UserError: There are too few examples, in all or of a class.
    """
    if stratify is not None:
        _check_classes(stratify)
    try:
        drawn = _draw(count, seed, stratify, shares)
    except ValueError as error:
        if stratify is None:
            raise UserError(f"{count} examples are too few to split: {error}") from error
        drawn = None  # a split would have fewer examples than there are classes
    if drawn is not None and (stratify is None or _has_all_classes(drawn, stratify)):
        return drawn
    assert stratify is not None
    return _draw_by_class(seed, stratify, shares)


def group_split_indices(
    groups: NDArray[Any],
    seed: int,
    stratify: NDArray[Any] | None = None,
    shares: Shares = _USUAL,
) -> Indices:
    """Returns splits as `split_indices` does, of which each has whole groups.

    Groups come in random order, the larger ones first, and each goes where the most is missing of
    its classes' shares; so the fractions are met as closely as the groups' sizes allow. A class
    that is in three groups or more is in each split, unless its groups are needed for others.

    Args:
        groups: What group each example is of, shape [examples].
        seed: Of the choice.
        stratify: Classes, shape [examples]; None looks at the number of examples alone.
        shares: How much each split gets.

    Raises:
        UserError: There are fewer than three groups, or a class is missing from the train split.
    """
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < 3:
        raise UserError(
            f"there are {len(names)} group(s); expected at least 3, for training, validation and "
            "test."
        )
    classes = np.zeros(len(groups), np.intp)
    if stratify is not None:
        _, classes = np.unique(stratify, return_inverse=True)
    counts = np.zeros((len(names), int(classes.max()) + 1))
    np.add.at(counts, (members, classes), 1)
    part_of_group = _assign(counts, np.random.default_rng(seed), shares)
    parts = part_of_group[members]
    train, validation, test = (np.flatnonzero(parts == part) for part in range(3))
    missing = np.setdiff1d(classes, classes[train])
    if len(missing):
        name = np.asarray(stratify)[classes == missing[0]][0]
        raise UserError(
            f"class {name} is in no group of the train split; expected it in at least three "
            "groups. Another data.split_seed may do, or groups that are smaller."
        )
    return train, validation, test


def _assign(
    counts: NDArray[np.float64], random: np.random.Generator, shares: Shares
) -> NDArray[np.intp]:
    """Returns the number of the split that each group goes to.

    Args:
        counts: Of each group's examples of each class, shape [groups, classes].
        random: Draws the order.
        shares: How much each split gets.
    """
    order = random.permutation(len(counts))
    # By powers of two, or groups of sizes that all differ would have one order for every seed.
    order = order[np.argsort(-np.log2(counts[order].sum(axis=1)).astype(int), kind="stable")]
    train = 1 - shares.validation - shares.test
    totals = counts.sum(axis=0)
    lacking = np.repeat([[train], [shares.validation], [shares.test]], len(totals), axis=1)
    groups_left, is_missing = (counts > 0).sum(axis=0), np.ones(lacking.shape, np.bool_)
    parts = np.zeros(len(counts), np.intp)
    for number, group in enumerate(order):
        has, share = counts[group] > 0, counts[group] / totals
        # A class's last groups go where it is missing, and the very last ones to empty splits.
        is_urgent = has & (groups_left <= is_missing.sum(axis=0))
        urgency = (is_missing & is_urgent).sum(axis=1).astype(float)
        is_empty = is_missing.all(axis=1)
        if len(order) - number <= is_empty.sum():
            urgency[is_empty] = np.inf
        part = np.lexsort((lacking @ counts[group], urgency))[-1]
        parts[group] = part
        lacking[part] -= share
        groups_left -= has
        is_missing[part, has] = False
    return parts


def _check_classes(stratify: NDArray[Any]) -> None:
    classes, counts = np.unique(stratify, return_counts=True)
    rare = np.flatnonzero(counts < _FEWEST_OF_A_CLASS)
    if len(rare):
        first = counts.argmin()
        more = f", and {len(rare) - 1} more classes have too few" if len(rare) > 1 else ""
        raise UserError(
            f"class {classes[first]} has {counts[first]} example(s){more}; expected at least "
            f"{_FEWEST_OF_A_CLASS} of each class, for training, validation and test."
        )


def _draw(count: int, seed: int, stratify: NDArray[Any] | None, shares: Shares) -> Indices:
    from sklearn.model_selection import train_test_split

    held_out = shares.validation + shares.test
    train, rest = train_test_split(
        np.arange(count), test_size=held_out, random_state=seed, stratify=stratify
    )
    validation, test = train_test_split(
        rest,
        test_size=shares.test / held_out,
        random_state=seed,
        stratify=None if stratify is None else stratify[rest],
    )
    return train, validation, test


def _has_all_classes(indices: Indices, stratify: NDArray[Any]) -> bool:
    num_classes = len(np.unique(stratify))
    return all(len(np.unique(stratify[part])) == num_classes for part in indices)


def _draw_by_class(seed: int, stratify: NDArray[Any], shares: Shares) -> Indices:
    """Draws at least one validation and one test example of each class, one class at a time.

    scikit-learn rounds over all classes together, so that small ones can miss from a split.
    """
    random, parts = np.random.default_rng(seed), np.zeros(len(stratify), np.int8)
    _, classes = np.unique(stratify, return_inverse=True)
    order = random.permutation(len(stratify))
    order = order[np.argsort(classes[order], kind="stable")]
    fractions, carried = np.array([shares.validation, shares.test]), np.zeros(2)
    for members in np.split(order, np.cumsum(np.bincount(classes))[:-1]):
        wanted = fractions * len(members) + carried
        numbers = np.maximum(1, np.rint(wanted)).astype(np.intp)
        while numbers.sum() >= len(members):  # one example at least is for training
            numbers[numbers.argmax()] -= 1
        # The next class makes up for the rounding of this one, or all would be rounded one way.
        carried = np.clip(wanted - numbers, -0.5, 0.5)
        parts[members[: numbers[0]]] = 1
        parts[members[numbers[0] : numbers.sum()]] = 2
    train, validation, test = (
        random.permutation(np.flatnonzero(parts == part)) for part in range(3)
    )
    return train, validation, test
