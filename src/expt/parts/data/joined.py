"""Several splits as one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.parts.data.image_files import ImageFiles


def joined(splits: Sequence[Split]) -> Split:
    """Returns splits as one, one after the other; what is streamed stays on disk.

    Weights are those of all examples, or of none: a split without weights counts its examples
    alike, so that they weigh 1 beside others that have weights.
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
    return Split(_joined_inputs(splits, inputs), targets, weights)


def _joined_inputs(splits: Sequence[Split], inputs: Sequence[Any]) -> Any:
    if all(isinstance(one, np.ndarray) for one in inputs):
        return np.concatenate(inputs)
    first = inputs[0]
    if all(isinstance(one, ImageFiles) and one.names is first.names for one in inputs):
        return replace(first, indices=np.concatenate([one.indices for one in inputs]))
    return JoinedInputs(tuple(splits), np.arange(sum(map(len, splits))))


@dataclass(frozen=True, eq=False)
class JoinedInputs:
    """The inputs of several splits as one stream.

    Attributes:
        splits: Where the inputs are.
        indices: Which of them these are, counted through all splits, in their order.
    """

    splits: tuple[Split, ...]
    indices: NDArray[np.integer[Any]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, then the shape of one."""
        return (len(self.indices), *self.splits[0].inputs.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that holds the inputs of all splits."""
        return np.result_type(*(split.dtype for split in self.splits))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the content of all splits, and of the indices."""
        digest = hashlib.blake2b(self.indices.astype("<i8").tobytes(), digest_size=16)
        for split in self.splits:
            inputs = split.inputs
            if isinstance(inputs, np.ndarray):
                digest.update(np.ascontiguousarray(inputs).data)
            else:
                digest.update(inputs.fingerprint.encode())
        return digest.hexdigest()

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Reads some inputs, shape [indices, ...]."""
        places = self.indices[indices]
        inputs = np.empty((len(places), *self.shape[1:]), self.dtype)
        start = 0
        for split in self.splits:
            chosen = (places >= start) & (places < start + len(split))
            if chosen.any():
                inputs[chosen] = split.read(places[chosen] - start)
            start += len(split)
        return inputs

    def take(self, indices: NDArray[np.integer[Any]]) -> "JoinedInputs":
        """Returns the stream of some of the inputs."""
        return replace(self, indices=self.indices[indices])
