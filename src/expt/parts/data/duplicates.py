"""Examples that occur more than once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.mapped import MappedInputs

_WORDS_AT_ONCE = 2**22
_GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio


def shared_note(dataset: Dataset) -> str | None:
    """Says how many validation and test examples have the inputs of a training example.

    Returns:
        A sentence; None if there are none, or the inputs are a stream that has no `keys`.
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
        f"{' and '.join(counted)} have the same inputs as a training example{others}, so that "
        "their scores can be too good. Where data comes without splits of its own: "
        f"{dropping}data.group=COLUMN, or an array groups, keeps what belongs together in one "
        "split."
    )


def distinct_indices(whole: Split) -> NDArray[np.intp]:
    """Returns the first of all examples that have the same inputs and targets, in order."""
    keys = keys_of(whole, whole.dtype)
    assert keys is not None, "the source has keys for its examples"
    rows = np.column_stack([keys, row_keys(whole.targets.reshape(len(whole), -1))])
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.sort(first)


def row_keys(rows: NDArray[Any], dtype: np.dtype[Any] | None = None) -> NDArray[np.uint64]:
    """Returns a hash of each row of numbers, 128 bits as two words, shape [rows, 2].

    Equal rows have equal hashes; other rows have them with a probability of about 2^-126. The hash
    is a sum of the row's words with random odd factors, which NumPy computes fast.

    Args:
        rows: Shape [rows, ...].
        dtype: float32 or float64, in which numbers are hashed: hashes compare within one type.
            None is float32 for float32, else float64.
    """
    flat = rows.reshape(len(rows), -1)
    floating = np.dtype(dtype or (np.float32 if rows.dtype == np.float32 else np.float64))
    num_words = flat.shape[1]
    factors = _odd_factors(num_words)
    keys = np.empty((len(flat), 2), np.uint64)
    step = max(1, _WORDS_AT_ONCE // max(1, num_words))
    for start in range(0, len(flat), step):
        numbers = np.ascontiguousarray(flat[start : start + step], floating) + floating.type(0)
        piece = numbers.view(f"u{floating.itemsize}").astype(np.uint64)  # -0.0 is 0.0 by the sum
        # High bits must count as low ones do, or numbers such as 1.0 and 2.0 would be alike.
        piece ^= piece >> np.uint64(32)
        piece *= np.uint64(_GOLDEN)
        piece ^= piece >> np.uint64(29)
        for column in range(2):
            keys[start : start + step, column] = (piece * factors[column]).sum(axis=1)
    return keys


def common_dtype(dataset: Dataset) -> np.dtype[Any]:
    """Returns the type that holds the inputs of all splits.

    Splits can differ in it, where but one has values that float32 would round.
    """
    return np.result_type(*(split.dtype for _, split in dataset.splits()))


def keys_of(split: Split, dtype: np.dtype[Any]) -> NDArray[np.uint64] | None:
    """Returns a hash of each example's inputs, shape [examples, 2].

    Of images in files that is their `keys`, of all else `row_keys`, computed once a split.

    Args:
        split: The examples.
        dtype: See `row_keys`.

    Returns:
        None for a stream that has no `keys`.
    """
    inputs = split.inputs
    if not isinstance(inputs, np.ndarray | MappedInputs):
        keys: NDArray[np.uint64] | None = getattr(inputs, "keys", None)
        return keys
    if dtype.name not in split.known_keys:
        split.known_keys[dtype.name] = read_keys(split, dtype)
    return split.known_keys[dtype.name]


def read_keys(split: Split, dtype: np.dtype[Any]) -> NDArray[np.uint64]:
    """Returns the `row_keys` of inputs that are read a few at a time, shape [examples, 2]."""
    if isinstance(split.inputs, np.ndarray):
        return row_keys(split.inputs, dtype)
    step = max(1, _WORDS_AT_ONCE // max(1, int(np.prod(split.inputs.shape[1:]))))
    starts = range(0, len(split), step)
    pieces = (split.read(np.arange(i, min(i + step, len(split)))) for i in starts)
    return np.concatenate([row_keys(piece, dtype) for piece in pieces])


def _odd_factors(num_words: int) -> NDArray[np.uint64]:
    """Returns random odd numbers, shape [2, words]: those of splitmix64, made odd.

    Runs keep hashes, so that they must be the same for every version of NumPy; its generators
    need not be.
    """
    states = np.arange(1, 2 * num_words + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (states ^ (states >> np.uint64(31))).reshape(num_words, 2).T | np.uint64(1)


def _texts(rows: NDArray[Any]) -> list[bytes]:
    """Returns each row's bytes, which dictionaries can hold, the same for -0.0 and 0.0."""
    return [row.tobytes() for row in rows.reshape(len(rows), -1) + rows.dtype.type(0)]


def _by_key(keys: NDArray[np.uint64], targets: NDArray[Any]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for key, target in zip(_texts(keys), _texts(targets), strict=True):
        found.setdefault(key, set()).add(target)
    return found
