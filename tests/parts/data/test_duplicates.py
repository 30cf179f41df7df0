"""Duplicates across splits are counted, and rows are equal exactly if their numbers are."""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from expt.parts.data.bundled import Diabetes, Iris
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import distinct_indices, duplicates_note, row_keys
from expt.parts.data.mapped import MappedInputs
from expt.parts.data.splitting import split_indices

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.standard_normal((30, 4))


def dataset(train: Any, validation: Any, test: Any) -> Dataset:
    """Makes a data set of three splits, each given as inputs or as (inputs, targets).

    The targets are all of class 0 if they are not given.
    """
    splits = []
    for part in (train, validation, test):
        inputs, targets = part if isinstance(part, tuple) else (part, None)
        if targets is None:
            targets = np.zeros(inputs.shape[0], np.int32)
        splits.append(Split(inputs, targets))
    task: Any = "regression" if splits[0].targets.dtype.kind == "f" else "classification"
    names = () if task == "regression" else ("a", "b")
    first, second, third = splits
    return Dataset("toy", task, first, second, third, batch_size=1, class_names=names)


def counts(note: str | None) -> list[tuple[int, int, str]]:
    found = re.findall(r"([\d,]+) of ([\d,]+) (validation|test) examples", note or "")
    return [
        (*(int(number.replace(",", "")) for number in numbers), name) for *numbers, name in found
    ]


def test_examples_shared_with_training_are_counted() -> None:
    data = dataset(NOISE[:20], NOISE[18:24], NOISE[[5, 25, 5, 26, 27]])
    note = duplicates_note(data)
    assert counts(note) == [(2, 6, "validation"), (2, 5, "test")]
    assert note is not None
    assert "another target" not in note
    assert "data.duplicates=drop keeps one of each" in note


def test_five_copies_of_noise_are_in_every_split() -> None:
    whole = np.repeat(RANDOM.standard_normal((100, 3)), 5, axis=0)
    # Counted by Python's sets of bytes, as a reference.
    train, validation, test = (whole[part] for part in split_indices(500, 0))
    kept = set(map(bytes, train))
    expected = [
        (sum(bytes(row) in kept for row in part), 75, name)
        for part, name in ((validation, "validation"), (test, "test"))
    ]
    assert expected[1][0] > 60
    assert counts(duplicates_note(dataset(train, validation, test))) == expected


def test_no_note_without_duplicates() -> None:
    assert duplicates_note(dataset(NOISE[:10], NOISE[10:20], NOISE[20:])) is None
    assert duplicates_note(dataset(NOISE[:10], NOISE[20:], NOISE[20:])) is None  # not in training
    assert duplicates_note(Diabetes(batch_size=4).load()) is None


def test_iris_has_one_pair() -> None:
    data = Iris(batch_size=4).load()
    (pair,) = [
        pair
        for pair in itertools.combinations(np.concatenate(list(_inputs(data))).tolist(), 2)
        if pair[0] == pair[1]
    ]
    # The pair is noted only if it is in training and in another split.
    places = [pair[0] in inputs.tolist() for inputs in _inputs(data)]
    note = counts(duplicates_note(data))
    assert len(note) == (places[0] and sum(places) > 1)
    assert all(number == 1 for number, _, _ in note)


def _inputs(data: Dataset) -> Any:
    return (split.first(len(split)) for _, split in data.splits())


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_duplicates_with_other_targets_are_counted(kind: str) -> None:
    train: Any = (NOISE[[0, 1, 2, 2]], np.array([0, 1, 0, 1], np.int32))
    test: Any = (NOISE[[0, 1, 2, 3]], np.array([1, 1, 0, 0], np.int32))
    if kind == "values":
        train, test = ((x, y[:, None] * 0.5) for x, y in (train, test))
    validation = (NOISE[9:10], test[1][:1])
    note = duplicates_note(dataset(train, validation, test))
    assert note is not None
    assert note.startswith("3 of 4 test examples have the same inputs as a training example (1 of")
    assert "data.duplicates=drop" in note
    others = duplicates_note(dataset(train, validation, (test[0][:1], test[1][:1])))
    assert others is not None
    assert "(1 of them with another target)" in others
    assert "drop" not in others  # duplicates=drop keeps rows with different targets


def test_zeros_of_both_signs_are_equal() -> None:
    for dtype in (np.float32, np.float64):
        zeros: NDArray[Any] = np.zeros((2, 3), dtype)
        values = zeros.astype(float)[:, :1]
        data = dataset((zeros, values), (NOISE[:1, :3], values[:1]), (-zeros, -values))
        note = duplicates_note(data)
        assert counts(note) == [(2, 2, "test")]
        assert note is not None
        assert "another target" not in note


@pytest.mark.parametrize("types", list(itertools.product([np.float32, np.float64], repeat=3)))
def test_splits_of_different_types_are_compared(types: tuple[Any, ...]) -> None:
    whole = np.round(NOISE * 4)  # exact in both dtypes
    parts = (whole[:10].astype(types[0]), NOISE[20:].astype(types[1]), whole[5:15].astype(types[2]))
    assert counts(duplicates_note(dataset(*parts))) == [(5, 10, "test")]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6,), (3, 2), (3, 2, 1)])
def test_streams_are_counted_like_arrays(dtype: Any, shape: tuple[int, ...]) -> None:
    array = RANDOM.integers(0, 200, (40, 6)).astype(dtype).reshape(40, *shape)
    array[30:33] = array[:3]
    is_images = dtype == np.uint8 and len(shape) > 1
    stream = MappedInputs(
        array,
        np.arange(40),
        255.0 if is_images else 1.0,
        np.dtype(np.float64 if dtype in (np.int64, np.float64) else np.float32),
    )
    order = [np.arange(20), np.arange(20, 30), np.arange(30, 40)]
    streamed = dataset(*(stream.take(part) for part in order))
    assert counts(duplicates_note(streamed)) == [(3, 10, "test")]
    memory = dataset(*(stream.read(part) for part in order))
    assert duplicates_note(memory) == duplicates_note(streamed)


class Stream:
    """A custom stream without keys, whose inputs can't be compared."""

    shape = (4, 2)
    fingerprint = "none"

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Returns zeros."""
        return np.zeros((len(indices), 2), np.float32)

    def take(self, indices: NDArray[np.integer[Any]]) -> "Stream":
        """Returns itself."""
        del indices
        return self


class KeyedStream(Stream):
    """A custom stream with keys, such as digests of files."""

    keys = np.array([[1, 2], [1, 3], [2, 2], [1, 2]], np.uint64)


def test_keys_of_a_custom_stream_are_used() -> None:
    targets = np.zeros(4, np.int32)
    kinds: list[Any] = [Stream(), KeyedStream()]
    nothing, keyed = (dataset(*[(kind, targets)] * 3) for kind in kinds)
    assert duplicates_note(nothing) is None
    assert counts(duplicates_note(keyed)) == [(4, 4, "validation"), (4, 4, "test")]


def test_distinct_examples_are_the_first_of_each() -> None:
    inputs = NOISE[[0, 1, 0, 2, 1, 0]]
    targets = np.array([0, 1, 0, 1, 0, 0], np.int32)  # the input at 1 has two labels
    assert distinct_indices(Split(inputs, targets)).tolist() == [0, 1, 3, 4]
    values = targets[:, None] * 0.1
    assert distinct_indices(Split(inputs, values)).tolist() == [0, 1, 3, 4]
    stream = MappedInputs(inputs, np.arange(6), dtype=np.dtype(np.float64))
    assert distinct_indices(Split(stream, targets)).tolist() == [0, 1, 3, 4]


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.int8, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.integers(0, 2))
)
def test_distinct_rows_are_those_of_numpy(rows: NDArray[Any]) -> None:
    _, first = np.unique(rows, axis=0, return_index=True)
    for dtype in (np.float32, np.float64):
        split = Split(rows.astype(dtype), np.zeros(len(rows), np.int32))
        np.testing.assert_array_equal(distinct_indices(split), np.sort(first))


def grid(values: NDArray[Any], columns: int) -> NDArray[Any]:
    """Returns all rows of `columns` values, shape [values^columns, columns]."""
    return np.stack(np.meshgrid(*[values] * columns), axis=-1).reshape(-1, columns)


# Regular rows are the hard case of a hash that is a sum of products: terms may cancel.
PERMUTED = np.array(list(itertools.permutations(range(8))))
STRUCTURED: dict[str, NDArray[Any]] = {
    "digits": grid(np.arange(10), 5),
    "bits": grid(np.arange(2), 16),
    "signs": grid(np.array([-1, 1]), 16),
    "powers of two": grid(2.0 ** np.arange(-20, 20), 3),
    "signed powers": grid(np.r_[-(2.0 ** np.arange(-4, 4)), 0, 2.0 ** np.arange(-4, 4)], 4),
    "halves": grid(np.arange(16) / 2, 4),
    "pixels": grid(np.arange(40) / 255, 3),
    "one-hot": np.eye(1000),
    "permuted columns": PERMUTED,
    "permuted powers": 2.0**PERMUTED,
    "a count": np.arange(60_000)[:, None],
}


@pytest.mark.parametrize("case", STRUCTURED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_structured_rows_have_no_collisions(case: str, dtype: Any) -> None:
    keys = row_keys(STRUCTURED[case].astype(dtype))
    for word in keys.T:  # each of the two words alone is without collisions
        assert len(np.unique(word)) == len(keys)


def test_keys_depend_only_on_the_numbers() -> None:
    rows = RANDOM.integers(0, 100, (50, 6)).astype(np.float32)
    expected = row_keys(rows)
    for same in (
        np.asfortranarray(rows),
        rows.reshape(50, 3, 2),
        np.repeat(rows, 2, axis=0)[::2],
    ):
        np.testing.assert_array_equal(row_keys(same), expected)
    # Other types are hashed as float64.
    doubles = row_keys(rows.astype(np.float64))
    for other in (rows.astype(np.int64), rows.astype(np.uint8), rows.astype(">f8")):
        np.testing.assert_array_equal(row_keys(other), doubles)
    np.testing.assert_array_equal(row_keys(rows, np.dtype(np.float64)), doubles)
    assert (row_keys(rows > 50) == row_keys((rows > 50) * 1.0)).all()
    np.testing.assert_array_equal(row_keys(rows[20:30]), expected[20:30])
