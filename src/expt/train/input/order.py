"""The order of the data, a function of seed and step without any state."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def batch_indices(
    seed: int, first_step: int, count: int, num_examples: int, batch_size: int
) -> NDArray[np.int32]:
    """Returns the training examples of some consecutive steps.

    Each epoch is a permutation of the examples that is drawn from (seed, epoch) and cut into full
    batches. The remainder is left out of that epoch.

    Args:
        seed: The seed of the run.
        first_step: The first step, counted from 0.
        count: The number of steps.
        num_examples: The size of the train split.
        batch_size: The number of examples per step; at most `num_examples`.

    Returns:
        Indices into the train split, shape [count, batch_size].
    """
    # A pure function, so that a resumed run sees the same examples without a saved position.
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


# Two, as a block of steps can begin in one epoch and end in the next.
@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, num_examples: int) -> NDArray[np.int32]:
    indices = np.arange(num_examples, dtype=np.int32)
    np.random.default_rng((seed, epoch)).shuffle(indices)
    return indices
