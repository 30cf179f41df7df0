"""Digests of the data that a process loads and reads, for comparison between processes.

Two digests are kept of everything: one of the examples in their order, and one of the same examples
sorted. Together they distinguish different data from data in a different order.
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
"""Digests by a name for users, such as `the batch of step 4`, and by part, `inputs` or `targets`.

The targets include the weights of the examples. There are two digests for each part; the second
does not depend on the order of the examples.
"""

_ALL = "all splits"


def describe_batches(timeline: Timeline, dataset: Dataset, first_step: int) -> DataDigests:
    """Reads the batch of each step, as training does, and the first batch of the other splits.

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
    """Returns the digests of each split in memory, of all of them together, and of the names."""
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
    """Returns the first difference between common batches in words, or None if there is none."""
    for name in one:
        if name in other and (difference := _difference(one[name], other[name])):
            return f"{name} has {difference}"
    return None


def differing_splits(one: DataDigests, other: DataDigests) -> str:
    """Returns the differences between two loads of data in words.

    Args:
        one: The digests of the first load.
        other: The digests of the second load, which had a different fingerprint.
    """
    differences = {name: _difference(one[name], other[name]) for name in one if name != _ALL}
    found = {name: difference for name, difference in differences.items() if difference}
    if not found:
        return "its streamed inputs have a different fingerprint"
    # After a split without a seed, each split has different inputs; that is said in one sentence.
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
    """Returns the digests of the inputs and of the targets, one for each example."""
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
