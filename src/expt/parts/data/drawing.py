"""Random draws of held-out examples, equal to those of scikit-learn.

scikit-learn's `train_test_split` drew the splits of the first versions of expt. Runs must keep
their splits, but importing scikit-learn takes about a second of processor time.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Random = np.random.RandomState
_Halves = tuple[NDArray[np.intp], NDArray[np.intp]]


def draw_held_out(
    count: int, share: float, seed: int, stratify: NDArray[Any] | None = None
) -> _Halves:
    """Draws examples to keep and examples to hold out.

    Equal to `train_test_split(np.arange(count), test_size=share, random_state=seed,
    stratify=stratify)` of scikit-learn, as the tests check.

    Args:
        count: The number of examples.
        share: The fraction of the examples to hold out; the number is rounded up.
        seed: Seed of the draw.
        stratify: Classes, shape [examples]. Both halves get their share of each class, up to
            rounding. None draws without regard to classes.

    Returns:
        The indices of the examples to keep, and of those to hold out, in random order.

    Raises:
        ValueError: A half would be empty, or have fewer examples than there are classes.
    """
    num_held_out = math.ceil(share * count)
    num_kept = count - num_held_out
    num_classes = 1 if stratify is None else len(np.unique(stratify))
    if min(num_kept, num_held_out) < num_classes:
        raise ValueError(f"splits of {num_kept} and {num_held_out} examples are too small.")
    random = _Random(seed)
    if stratify is None:
        order = random.permutation(count)
        return order[num_held_out:], order[:num_held_out]
    return _draw_by_class(random, stratify, num_kept, num_held_out)


def _draw_by_class(
    random: _Random, stratify: NDArray[Any], num_kept: int, num_held_out: int
) -> _Halves:
    _, classes, sizes = np.unique(stratify, return_inverse=True, return_counts=True)
    if sizes.min() < 2:
        raise ValueError("a class has a single example.")
    members = np.split(np.argsort(classes, kind="stable"), np.cumsum(sizes)[:-1])
    kept_sizes = _divide(random, sizes, num_kept)
    held_out_sizes = _divide(random, sizes - kept_sizes, num_held_out)
    kept, held_out = [], []
    for of_class, to_keep, to_hold_out in zip(members, kept_sizes, held_out_sizes, strict=True):
        shuffled = of_class[random.permutation(len(of_class))]
        kept.append(shuffled[:to_keep])
        held_out.append(shuffled[to_keep : to_keep + to_hold_out])
    return random.permutation(np.concatenate(kept)), random.permutation(np.concatenate(held_out))


def _divide(random: _Random, sizes: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """Divides a number of examples among classes, in proportion to their sizes.

    Fractions are rounded up for the classes with the largest remainders; ties are broken at random.
    """
    exact = sizes / sizes.sum() * total
    numbers = np.floor(exact)
    remainders, missing = exact - numbers, int(total - numbers.sum())
    for remainder in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        (candidates,) = np.nonzero(remainders == remainder)
        chosen = random.choice(candidates, min(len(candidates), missing), replace=False)
        numbers[chosen] += 1
        missing -= len(chosen)
    whole: NDArray[np.intp] = numbers.astype(np.intp)
    return whole
