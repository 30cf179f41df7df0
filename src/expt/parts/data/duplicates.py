"""Duplicate examples, found by hashes of their inputs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.mapped import MappedInputs

_WORDS_AT_ONCE = 2**22
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, the constant of splitmix64


def duplicates_note(dataset: Dataset) -> str | None:
    """Returns a note on validation and test examples that have the inputs of a training example.

    Returns:
        A sentence with their numbers; None if there are none, or if the inputs are a stream
        without `keys`.
    """
    dtype = common_dtype(dataset)
    keys_of_train = keys_of(dataset.train, dtype)
    if keys_of_train is None:
        return None
    trained, counted = _by_key(keys_of_train, dataset.train.targets), []
    total = contradictory = 0
    for name, split in (("validation", dataset.validation), ("test", dataset.test)):
        keys = keys_of(split, dtype)
        same = [trained.get(key) for key in _texts(keys)] if keys is not None else []
        number = sum(targets is not None for targets in same)
        total += number
        contradictory += sum(
            targets is not None and target not in targets
            for targets, target in zip(same, _texts(split.targets), strict=False)
        )
        if number:
            counted.append(f"{number:,} of {len(split):,} {name} examples")
    if not counted:
        return None
    others = f" ({contradictory:,} of them with another target)" if contradictory else ""
    dropping = "data.duplicates=drop keeps one of each; " if contradictory < total else ""
    return (
        f"{' and '.join(counted)} have the same inputs as a training example{others}, so "
        "scores may be too optimistic. If the splits are drawn here: "
        f"{dropping}data.group=COLUMN, or an array groups, keeps related examples in one "
        "split."
    )


def distinct_indices(whole: Split) -> NDArray[np.intp]:
    """Returns the indices of examples whose inputs and targets don't occur before, sorted."""
    keys = keys_of(whole, whole.dtype)
    assert keys is not None, "the source has keys for its examples"
    rows = np.column_stack([keys, row_keys(whole.targets.reshape(len(whole), -1))])
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.sort(first)


def row_keys(rows: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[np.uint64]:
    """Hashes each row of numbers to 128 bits, as two words, shape [rows, 2].

    Equal rows have equal hashes; different rows have equal hashes with a probability of about
    2^-126. The hash is the sum of the row's mixed words times random odd factors, modulo 2^64.

    Args:
        rows: Numbers, shape [rows, ...].
        dtype: The dtype in which numbers are hashed, float32 or float64; only hashes of the same
            dtype are comparable. None means float32 for float32 and float64 for all others.
    """
    # Vectorized over all rows; a cryptographic hash per row would be a Python loop.
    flat = rows.reshape(len(rows), -1)
    floating = np.dtype(dtype or (np.float32 if rows.dtype == np.float32 else np.float64))
    num_words = flat.shape[1]
    factors = _odd_factors(num_words)
    keys = np.empty((len(flat), 2), np.uint64)
    step = max(1, _WORDS_AT_ONCE // max(1, num_words))
    for start in range(0, len(flat), step):
        numbers = np.ascontiguousarray(flat[start : start + step], floating) + floating.type(0)
        # Adding 0 has turned -0.0 into 0.0, which is the same number with other bits.
        piece = numbers.view(f"u{floating.itemsize}").astype(np.uint64)
        # High bits are mixed into low ones: round numbers such as 1.0 and 2.0 differ in high bits
        # only, and a product modulo 2^64 loses what is shifted beyond them.
        piece ^= piece >> np.uint64(32)
        piece *= np.uint64(_GOLDEN)
        piece ^= piece >> np.uint64(29)
        for column in range(2):
            keys[start : start + step, column] = (piece * factors[column]).sum(axis=1)
    return keys


def common_dtype(dataset: Dataset) -> np.dtype[Any]:
    """Returns the dtype that can hold the inputs of all splits.

    Splits may differ in dtype, since each is float64 only if float32 would round its values.
    """
    return np.result_type(*(split.dtype for _, split in dataset.splits()))


def keys_of(split: Split, dtype: np.dtype[Any]) -> NDArray[np.uint64] | None:
    """Returns a hash of each example's inputs, shape [examples, 2].

    Image files have the attribute `keys`; other inputs are hashed by `row_keys`, once per split.

    Args:
        split: The examples.
        dtype: The dtype in which numbers are hashed, see `row_keys`.

    Returns:
        The hashes; None for a custom stream without the attribute `keys`.
    """
    inputs = split.inputs
    if not isinstance(inputs, np.ndarray | MappedInputs):
        keys: NDArray[np.uint64] | None = getattr(inputs, "keys", None)
        return keys
    if dtype.name not in split.hash_cache:
        split.hash_cache[dtype.name] = read_keys(split, dtype)
    return split.hash_cache[dtype.name]


def read_keys(split: Split, dtype: np.dtype[Any]) -> NDArray[np.uint64]:
    """Computes the `row_keys` of inputs that are read piece by piece, shape [examples, 2]."""
    if isinstance(split.inputs, np.ndarray):
        return row_keys(split.inputs, dtype)
    step = max(1, _WORDS_AT_ONCE // max(1, int(np.prod(split.inputs.shape[1:]))))
    starts = range(0, len(split), step)
    pieces = (split.read(np.arange(i, min(i + step, len(split)))) for i in starts)
    return np.concatenate([row_keys(piece, dtype) for piece in pieces])


def _odd_factors(num_words: int) -> NDArray[np.uint64]:
    """Returns pseudorandom odd numbers of the generator splitmix64, shape [2, words]."""
    # Not NumPy's generators, which may change between versions: runs store these hashes.
    states = np.arange(1, 2 * num_words + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (states ^ (states >> np.uint64(31))).reshape(num_words, 2).T | np.uint64(1)


def _texts(rows: NDArray[Any]) -> list[bytes]:
    """Returns the bytes of each row, as keys of a dictionary; -0.0 and 0.0 are the same."""
    return [row.tobytes() for row in rows.reshape(len(rows), -1) + rows.dtype.type(0)]


def _by_key(keys: NDArray[np.uint64], targets: NDArray[Any]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for key, target in zip(_texts(keys), _texts(targets), strict=True):
        found.setdefault(key, set()).add(target)
    return found
