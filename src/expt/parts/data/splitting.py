"""Random train, validation and test splits: stratified by class, or with whole groups."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.drawing import draw_held_out
from expt.parts.numbers import is_number

Indices = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""The indices of the train, validation and test examples."""

# With five, validation and test get one each at the default shares, and training keeps three.
_MIN_EXAMPLES_PER_CLASS = 5


@dataclass(frozen=True)
class Shares:
    """The fraction of the examples that each split gets; the three sum to 1.

    Attributes:
        train: The fraction of the train split, above 0 and below 1.
        validation: The fraction of the validation split, above 0 and below 1.
        test: The fraction of the test split, above 0 and below 1.
    """

    train: float
    validation: float
    test: float

    @classmethod
    def parse(cls, split: object) -> "Shares":
        """Parses the value of `data.split`.

        Raises:
            UserError: If the value is not a list of three numbers above 0 whose sum is 1.
        """
        given = list(split) if isinstance(split, list | tuple) else []
        if len(given) != 3 or not all(is_number(share) and 0 < share < 1 for share in given):
            raise UserError(
                f"data.split={_format_shares(split)}: expected three numbers between 0 and 1, the "
                "shares of the train, the validation and the test split, such as [0.7,0.15,0.15]."
            )
        if not math.isclose(sum(given), 1, abs_tol=1e-6):
            raise UserError(
                f"data.split={_format_shares(split)}: its sum is {sum(given):.6g}; expected 1. "
                f"Did you mean {_format_shares([round(share / sum(given), 4) for share in given])}?"
            )
        return cls(*map(float, given))


DEFAULT_SPLIT = (0.7, 0.15, 0.15)
"""The default shares of the train, validation and test splits."""
_DEFAULT = Shares(*DEFAULT_SPLIT)


def unused_note(split: object) -> tuple[str, ...]:
    """Returns a note that `data.split` has no effect, for data with three splits of its own.

    Returns an empty tuple for the default shares, which the user need not have set.

    Raises:
        UserError: If the value is not a valid `data.split`.
    """
    if Shares.parse(split) == _DEFAULT:
        return ()
    return (
        f"data.split={_format_shares(split)} has no effect: the data comes in train, validation "
        "and test splits, which are used as they are.",
    )


def _format_shares(split: object) -> str:
    """Formats shares as a user writes them in an override, without spaces."""
    return str(list(split) if isinstance(split, list | tuple) else split).replace(" ", "")


def split_indices(
    count: int, seed: int, stratify: NDArray[Any] | None = None, shares: Shares = _DEFAULT
) -> Indices:
    """Draws the indices of the examples of each split.

    Args:
        count: The number of examples.
        seed: Seed of the draw. Not the run's seed: runs with different seeds must have the same
            splits to be comparable.
        stratify: Classes, shape [examples]. Each split gets its share of each class, and at least
            one example of it. None draws without regard to classes.
        shares: The fraction of each split; 70 %, 15 % and 15 % by default.

    Raises:
        UserError: If there are too few examples, in total or of a class.
    """
    if stratify is not None:
        _check_classes(stratify)
    try:
        drawn = _draw(count, seed, stratify, shares)
    except ValueError as error:
        if stratify is None:
            raise UserError(f"{count} examples are too few to split: {error}") from error
        drawn = None  # a split would have fewer examples than there are classes
    # scikit-learn's split is used whenever its parts have all classes: existing runs must keep
    # their splits.
    if drawn is not None and (stratify is None or _has_all_classes(drawn, stratify)):
        return drawn
    assert stratify is not None
    return _draw_by_class(seed, stratify, shares)


def group_split_indices(
    groups: NDArray[Any],
    seed: int,
    stratify: NDArray[Any] | None = None,
    shares: Shares = _DEFAULT,
) -> Indices:
    """Draws splits as `split_indices` does, without dividing any group between splits.

    Groups are assigned greedily: in random order, larger ones first, each to the split that lacks
    the most of the group's classes. The shares are met as closely as the sizes of the groups allow.
    A class that occurs in at least three groups is in each split, unless its groups are needed for
    other classes.

    Args:
        groups: The group of each example, shape [examples].
        seed: Seed of the random order.
        stratify: Classes, shape [examples]; None balances the number of examples only.
        shares: The fraction of each split.

    Raises:
        UserError: If there are fewer than three groups, or the train split lacks a class.
    """
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < 3:
        raise UserError(
            f"there are {len(names)} group(s); expected at least 3, one each for training, "
            "validation and test."
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
            "groups. Try another data.split_seed, or smaller groups."
        )
    return train, validation, test


def _assign(
    counts: NDArray[np.float64], random: np.random.Generator, shares: Shares
) -> NDArray[np.intp]:
    """Assigns each group to a split: 0 is train, 1 validation, 2 test; shape [groups].

    Args:
        counts: The number of examples by group and class, shape [groups, classes].
        random: The generator of the random order.
        shares: The fraction of each split.
    """
    order = random.permutation(len(counts))
    # Sizes are compared by powers of two: groups whose sizes all differ would otherwise come in
    # the same order for every seed.
    order = order[np.argsort(-np.log2(counts[order].sum(axis=1)).astype(int), kind="stable")]
    # Not `shares.train`, whose last bits may differ: existing runs must keep their splits.
    train = 1 - shares.validation - shares.test
    totals = counts.sum(axis=0)
    # For each split and class: the share that is still to be filled, which may become negative.
    lacking = np.repeat([[train], [shares.validation], [shares.test]], len(totals), axis=1)
    groups_left, is_missing = (counts > 0).sum(axis=0), np.ones(lacking.shape, np.bool_)
    parts = np.zeros(len(counts), np.intp)
    for number, group in enumerate(order):
        has, share = counts[group] > 0, counts[group] / totals
        # The last groups of a class go to splits that lack the class, and the last groups of all go
        # to empty splits; otherwise, the greedy choice could leave a split incomplete or empty.
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
    rare = np.flatnonzero(counts < _MIN_EXAMPLES_PER_CLASS)
    if len(rare):
        first = counts.argmin()
        more = f", and {len(rare) - 1} more classes have too few" if len(rare) > 1 else ""
        raise UserError(
            f"class {classes[first]} has {counts[first]} example(s){more}; expected at least "
            f"{_MIN_EXAMPLES_PER_CLASS} of each class, to have some in each split."
        )


def _draw(count: int, seed: int, stratify: NDArray[Any] | None, shares: Shares) -> Indices:
    held_out = shares.validation + shares.test
    train, rest = draw_held_out(count, held_out, seed, stratify)
    validation, test = draw_held_out(
        len(rest), shares.test / held_out, seed, None if stratify is None else stratify[rest]
    )
    return train, rest[validation], rest[test]


def _has_all_classes(indices: Indices, stratify: NDArray[Any]) -> bool:
    num_classes = len(np.unique(stratify))
    return all(len(np.unique(stratify[part])) == num_classes for part in indices)


def _draw_by_class(seed: int, stratify: NDArray[Any], shares: Shares) -> Indices:
    """Draws class by class, so that each split has at least one example of each class.

    scikit-learn rounds over all classes together, which can leave a small class out of a split.
    """
    random, parts = np.random.default_rng(seed), np.zeros(len(stratify), np.int8)
    _, classes = np.unique(stratify, return_inverse=True)
    order = random.permutation(len(stratify))
    order = order[np.argsort(classes[order], kind="stable")]
    fractions, carried = np.array([shares.validation, shares.test]), np.zeros(2)
    for members in np.split(order, np.cumsum(np.bincount(classes))[:-1]):
        wanted = fractions * len(members) + carried
        numbers = np.maximum(1, np.rint(wanted)).astype(np.intp)
        while numbers.sum() >= len(members):  # keeps at least one example for training
            numbers[numbers.argmax()] -= 1
        # The rounding error is carried to the next class: classes of the same size would
        # otherwise all be rounded the same way, and the splits miss their shares.
        carried = np.clip(wanted - numbers, -0.5, 0.5)
        parts[members[: numbers[0]]] = 1
        parts[members[numbers[0] : numbers.sum()]] = 2
    train, validation, test = (
        random.permutation(np.flatnonzero(parts == part)) for part in range(3)
    )
    return train, validation, test
