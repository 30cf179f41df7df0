"""The order of the data: arithmetic, not state."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def batch_indices(
    seed: int, first_step: int, count: int, num_examples: int, batch_size: int
) -> NDArray[np.int32]:
    """Returns which training examples some consecutive steps see.

    A pure function of its arguments: each epoch is a permutation drawn from (seed, epoch) alone,
    cut into full batches; the remainder is left out of that epoch.

    Args:
        seed: The run's seed.
        first_step: The first step, counted from 0.
        count: How many steps.
        num_examples: Size of the train split.
        batch_size: Examples a step; at most `num_examples`.

    Returns:
        Indices into the train split, shape [count, batch_size].
    """
    steps_per_epoch = num_examples // batch_size
    rows = []
    step, last = first_step, first_step + count
    while step < last:
        epoch, start = divmod(step, steps_per_epoch)
        stop = min(steps_per_epoch, start + last - step)
        permutation = _permutation(seed, epoch, num_examples)
        batches = permutation[start * batch_size : stop * batch_size]
        rows.append(batches.reshape(-1, batch_size))
        step += stop - start
    return np.concatenate(rows)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, num_examples: int) -> NDArray[np.int32]:
    indices = np.arange(num_examples, dtype=np.int32)
    np.random.default_rng((seed, epoch)).shuffle(indices)
    return indices
