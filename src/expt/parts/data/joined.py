"""Concatenation of splits, in memory or streamed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.parts.data.image_files import ImageFiles


def concatenate_splits(splits: Sequence[Split]) -> Split:
    """Concatenates splits; streamed inputs stay on disk.

    If some splits have weights and others none, the examples of the latter get the weight 1.

    Args:
        splits: One or more splits with inputs of the same shape.
    """
    inputs = [split.inputs for split in splits]
    targets = np.concatenate([split.targets for split in splits])
    weights = None
    if any(split.weights is not None for split in splits):
        weights = np.concatenate(
            [
                np.ones(len(split), np.float32) if split.weights is None else split.weights
                for split in splits
            ]
        )
    return Split(_join_inputs(splits, inputs), targets, weights)


def _join_inputs(splits: Sequence[Split], inputs: Sequence[Any]) -> Any:
    if all(isinstance(one, np.ndarray) for one in inputs):
        return np.concatenate(inputs)
    first = inputs[0]
    # Splits of one folder share their list of names, so one stream can hold all their files.
    # It keeps what is special about image files, such as their hashes and fast decoding.
    if all(isinstance(one, ImageFiles) and one.names is first.names for one in inputs):
        return replace(first, indices=np.concatenate([one.indices for one in inputs]))
    return JoinedInputs(tuple(splits), np.arange(sum(map(len, splits))))


@dataclass(frozen=True, eq=False)
class JoinedInputs:
    """A stream of the inputs of several splits.

    Attributes:
        splits: The splits that hold the inputs.
        indices: Indices of this stream's inputs in the concatenation of all splits.
    """

    splits: tuple[Split, ...]
    indices: NDArray[np.integer[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, followed by the shape of one input."""
        return (len(self.indices), *self.splits[0].inputs.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that can hold the inputs of all splits."""
        return np.result_type(*(split.dtype for split in self.splits))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the content of all splits and of the indices."""
        digest = hashlib.blake2b(self.indices.astype("<i8").tobytes(), digest_size=16)
        for split in self.splits:
            inputs = split.inputs
            if isinstance(inputs, np.ndarray):
                digest.update(np.ascontiguousarray(inputs).data)
            else:
                digest.update(inputs.fingerprint.encode())
        return digest.hexdigest()

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Reads the inputs at `indices`, shape [indices, ...]."""
        places = self.indices[indices]
        inputs = np.empty((len(places), *self.shape[1:]), self.dtype)
        start = 0
        # One read per split, however the indices are mixed: a split may read from disk.
        for split in self.splits:
            chosen = (places >= start) & (places < start + len(split))
            if chosen.any():
                inputs[chosen] = split.read(places[chosen] - start)
            start += len(split)
        return inputs

    def take(self, indices: NDArray[np.integer[Any]]) -> "JoinedInputs":
        """Returns a stream of the inputs at `indices`, in that order."""
        return replace(self, indices=self.indices[indices])
