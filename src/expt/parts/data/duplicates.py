"""Examples that occur more than once."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.mapped import MappedInputs

_WORDS_AT_ONCE = 2**22


def shared_note(dataset: Dataset) -> str | None:
    """Says how many validation and test examples have the inputs of a training example.

    Returns:
        A sentence; None if there are none, or the inputs are a stream that has no `keys`.
    """
    keys_of_train = _keys_of(dataset.train)
    if keys_of_train is None:
        return None
    trained, counted = _by_key(keys_of_train, dataset.train.targets), []
    contradictory = 0
    for name, split in (("validation", dataset.validation), ("test", dataset.test)):
        keys = _keys_of(split)
        same = [trained.get(key) for key in _texts(keys)] if keys is not None else []
        number = sum(targets is not None for targets in same)
        contradictory += sum(
            targets is not None and target not in targets
            for targets, target in zip(same, _texts(split.targets), strict=False)
        )
        if number:
            counted.append(f"{number:,} of {len(split):,} {name} examples")
    if not counted:
        return None
    others = f" ({contradictory:,} of them with another target)" if contradictory else ""
    return (
        f"{' and '.join(counted)} have the same inputs as a training example{others}, so that "
        "their scores can be too good. data.duplicates=drop keeps one of each, where the data "
        "has that option; data.group=… keeps rows that belong together in one split."
    )


def distinct_indices(whole: Split) -> NDArray[np.intp]:
    """Returns the first of all examples that have the same inputs and targets, in order."""
    keys = _keys_of(whole)
    assert keys is not None, "the source has keys for its examples"
    rows = np.column_stack([keys, row_keys(whole.targets.reshape(len(whole), -1))])
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.sort(first)


def row_keys(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Returns a hash of each row of numbers, 128 bits as two words, shape [rows, 2].

    Equal rows have equal hashes; other rows have them with a probability of about 2^-126. The hash
    is a sum of the row's words with random odd factors, which NumPy computes fast.
    """
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1)) + 0  # -0.0 becomes 0.0
    if flat.dtype == np.float32:
        words: NDArray[Any] = flat.view(np.uint32)
    else:
        words = flat.astype(np.float64).view(np.uint64)
    random = np.random.default_rng(0)
    factors = random.integers(0, 2**63, (2, words.shape[1]), np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    keys = np.empty((len(words), 2), np.uint64)
    step = max(1, _WORDS_AT_ONCE // max(1, words.shape[1]))
    for start in range(0, len(words), step):
        piece = words[start : start + step].astype(np.uint64)
        # High bits must count as low ones do, or numbers such as 1.0 and 2.0 would be alike.
        piece ^= piece >> np.uint64(32)
        piece *= np.uint64(0x9E3779B97F4A7C15)
        piece ^= piece >> np.uint64(29)
        for column in range(2):
            keys[start : start + step, column] = (piece * factors[column]).sum(axis=1)
    return keys


def _keys_of(split: Split) -> NDArray[np.uint64] | None:
    inputs = split.inputs
    if isinstance(inputs, np.ndarray):
        return row_keys(inputs)
    if isinstance(inputs, MappedInputs):
        return np.concatenate(list(_chunk_keys(split)))
    keys: NDArray[np.uint64] | None = getattr(inputs, "keys", None)
    return keys


def _chunk_keys(split: Split) -> Iterator[NDArray[np.uint64]]:
    step = max(1, _WORDS_AT_ONCE // max(1, int(np.prod(split.inputs.shape[1:]))))
    for start in range(0, len(split), step):
        yield row_keys(split.read(np.arange(start, min(start + step, len(split)))))


def _texts(rows: NDArray[Any]) -> list[bytes]:
    """Returns each row's bytes, which dictionaries can hold."""
    return [row.tobytes() for row in rows.reshape(len(rows), -1)]


def _by_key(keys: NDArray[np.uint64], targets: NDArray[Any]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for key, target in zip(_texts(keys), _texts(targets), strict=True):
        found.setdefault(key, set()).add(target)
    return found
