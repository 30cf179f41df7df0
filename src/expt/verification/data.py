"""Digests of the data that a process loads and reads, for comparison between processes.

Each part of the data has two digests: one that depends on the order of its examples, and one that
does not. Together, they distinguish different data from the same data in a different order.
"""

import hashlib
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split
from expt.train.timeline import Timeline

DataDigests = Mapping[str, Mapping[str, list[str]]]
"""Digests by a display name, such as `the batch of step 4`, then by part, `inputs` or `targets`.

The targets include the weights of the examples. Each part has two digests; the second does not
depend on the order of the examples.
"""

_ALL = "all splits"


def describe_batches(timeline: Timeline, dataset: Dataset, first_step: int) -> DataDigests:
    """Returns the digests of each step's batch, as training reads it, and of the other splits.

    Of the validation and test splits, only the first batch is read.

    Args:
        timeline: The timeline, which determines the examples of each step.
        dataset: The data set.
        first_step: The first step to read, counted from 0.
    """
    described = {
        f"the batch of step {step + 1}": _describe(dataset.train, timeline.indices(step, 1)[0])
        for step in range(first_step, timeline.total_steps)
    }
    for name, split in (("validation", dataset.validation), ("test", dataset.test)):
        first = np.arange(min(len(split), timeline.batch_size))
        described[f"the beginning of the {name} split"] = _describe(split, first)
    return described


def describe_splits(dataset: Dataset) -> DataDigests:
    """Returns the digests of each in-memory split, of all these splits together, and of names."""
    # Streamed splits are left out, since reading them whole may take long.
    examples = {
        f"the {name} split": _examples(split, np.arange(len(split)))
        for name, split in dataset.splits()
        if isinstance(split.inputs, np.ndarray)
    }
    inputs = list(chain.from_iterable(each["inputs"] for each in examples.values()))
    return {name: _digests_of(each) for name, each in examples.items()} | {
        _ALL: _digests_of({"inputs": inputs}),
        "the data": {"names of classes or columns": [_names_of(dataset)] * 2},
    }


def differing_batches(one: DataDigests, other: DataDigests) -> str | None:
    """Describes the first difference between the common batches; None if they are equal."""
    for name in one:
        if name in other and (difference := _difference(one[name], other[name])):
            return f"{name} has {difference}"
    return None


def differing_splits(one: DataDigests, other: DataDigests) -> str:
    """Describes the differences between two loads of the same data source.

    Args:
        one: The digests of the first load.
        other: The digests of the second load, whose fingerprint differs.
    """
    differences = {name: _difference(one[name], other[name]) for name in one if name != _ALL}
    found = {name: difference for name, difference in differences.items() if difference}
    if not found:
        return "its streamed inputs have a different fingerprint"
    # If a split was not seeded, every split has different inputs; one sentence describes that.
    is_redistributed = _is_shuffled(one[_ALL]["inputs"], other[_ALL]["inputs"])
    if is_redistributed and any("different inputs" in difference for difference in found.values()):
        return "its splits have the same inputs, but distributed differently"
    return "; ".join(f"{name} has {difference}" for name, difference in found.items())


def _names_of(dataset: Dataset) -> str:
    return repr((dataset.class_names, dataset.feature_names, sorted(dataset.other_columns.items())))


def _difference(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> str | None:
    for part in one:
        if one[part] != other[part]:
            is_shuffled = _is_shuffled(one[part], other[part])
            return f"the same {part} in a different order" if is_shuffled else f"different {part}"
    return None


def _is_shuffled(one: list[str], other: list[str]) -> bool:
    return one[1] == other[1]


def _describe(split: Split, indices: NDArray[np.integer[Any]]) -> dict[str, list[str]]:
    return _digests_of(_examples(split, indices))


def _examples(split: Split, indices: NDArray[np.integer[Any]]) -> dict[str, list[bytes]]:
    """Returns one digest per example of the inputs, and one of the targets with their weight."""
    targets = [split.targets[indices]]
    if split.weights is not None:
        targets.append(split.weights[indices])
    parts = {"inputs": [split.read(indices)], "targets": targets}
    return {
        part: [
            hashlib.blake2b(b"".join(value.tobytes() for value in row), digest_size=8).digest()
            for row in zip(*arrays, strict=True)
        ]
        for part, arrays in parts.items()
    }


def _digests_of(examples: Mapping[str, list[bytes]]) -> dict[str, list[str]]:
    return {
        part: [
            hashlib.blake2b(b"".join(digests), digest_size=8).hexdigest()
            for digests in (in_order, sorted(in_order))
        ]
        for part, in_order in examples.items()
    }
