"""What the data of a process holds, in a form that processes can compare."""

import hashlib
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split
from expt.train.timeline import Timeline

Described = Mapping[str, Mapping[str, list[str]]]
"""By a name for users, of `inputs` and of `targets` (with weights): two digests, the second of
which does not depend on the order of the examples."""

_ALL = "all splits"


def describe_batches(timeline: Timeline, dataset: Dataset, first_step: int) -> Described:
    """Reads what each step's batch holds, as training reads it, and the start of other splits.

    Args:
        timeline: Which examples each step sees.
        dataset: The data.
        first_step: The first step, counted from 0.
    """
    described = {
        f"the batch of step {step + 1}": _describe(dataset.train, timeline.indices(step, 1)[0])
        for step in range(first_step, timeline.total_steps)
    }
    for name, split in (("validation", dataset.validation), ("test", dataset.test)):
        first = np.arange(min(len(split), timeline.batch_size))
        described[f"the beginning of the {name} split"] = _describe(split, first)
    return described


def describe_splits(dataset: Dataset) -> Described:
    """Reads all splits that are in memory; describes each, all of them together, and the names."""
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


def differing_batches(one: Described, other: Described) -> str | None:
    """Tells the first of what both describe that differs, or None."""
    for name in one:
        if name in other and (difference := _difference(one[name], other[name])):
            return f"{name} has {difference}"
    return None


def differing_splits(one: Described, other: Described) -> str:
    """Tells how two loads of data whose fingerprints differ do so."""
    differences = {name: _difference(one[name], other[name]) for name in one if name != _ALL}
    told = {name: difference for name, difference in differences.items() if difference}
    if not told:
        return "its streamed inputs have another fingerprint"
    is_shared_out = _is_shuffled(one[_ALL]["inputs"], other[_ALL]["inputs"])
    if is_shared_out and any("other inputs" in difference for difference in told.values()):
        return "its splits have the same inputs, but shared out otherwise"
    return "; ".join(f"{name} has {difference}" for name, difference in told.items())


def _names_of(dataset: Dataset) -> str:
    return repr((dataset.class_names, dataset.feature_names, sorted(dataset.other_columns.items())))


def _difference(one: Mapping[str, list[str]], other: Mapping[str, list[str]]) -> str | None:
    for part in one:
        if one[part] != other[part]:
            is_shuffled = _is_shuffled(one[part], other[part])
            return f"the same {part} in another order" if is_shuffled else f"other {part}"
    return None


def _is_shuffled(one: list[str], other: list[str]) -> bool:
    return one[1] == other[1]


def _describe(split: Split, indices: NDArray[np.integer[Any]]) -> dict[str, list[str]]:
    return _digests_of(_examples(split, indices))


def _examples(split: Split, indices: NDArray[np.integer[Any]]) -> dict[str, list[bytes]]:
    """Returns digests of the inputs and of the targets, one for each example."""
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
