"""Memory-mapped arrays as a stream of inputs."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.parts.data.preparation import chunks, to_inputs
from expt.parts.data.scale import Scale


@dataclass(frozen=True, eq=False)
class MappedInputs:
    """A stream of inputs from a memory-mapped array.

    Attributes:
        array: All raw inputs of the file.
        indices: Indices of this stream's inputs in the array.
        divisor: The raw value that becomes 1, see `to_inputs`.
        dtype: float64 if float32 would round values that the model standardizes, else float32.
    """

    array: NDArray[Any]
    indices: NDArray[np.integer[Any]]
    divisor: float = 1.0
    dtype: np.dtype[Any] = np.dtype(np.float32)  # noqa: RUF009  immutable

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, followed by the shape of one input."""
        channels = (1,) if self.divisor != 1 and self.array.ndim == 3 else ()
        return (len(self.indices), *self.array.shape[1:], *channels)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the inputs and their order."""
        # Inputs are read in the order of the file, sequentially; `order` records their own.
        order = np.argsort(self.indices, kind="stable")
        digest = hashlib.blake2b(order.astype(np.int64).data, digest_size=16)
        for chunk in chunks(self.shape, len(order)):
            digest.update(np.ascontiguousarray(self.read(order[chunk])).data)
        return digest.hexdigest()

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Reads the inputs at `indices`, shape [indices, ...]."""
        # The file is read from front to back, which is faster on disks than in random order.
        places = self.indices[indices]
        order = np.argsort(places, kind="stable")
        inputs = np.empty((len(places), *self.shape[1:]), self.dtype)
        inputs[order] = to_inputs(self.array[places[order]], self.divisor)
        return inputs

    def take(self, indices: NDArray[np.integer[Any]]) -> "MappedInputs":
        """Returns a stream of the inputs at `indices`, in that order."""
        return replace(self, indices=self.indices[indices])


def is_pixels(array: NDArray[Any]) -> bool:
    """Whether an array holds images of 8-bit pixels, by its dtype and number of axes."""
    return array.dtype == np.uint8 and array.ndim in (3, 4)


def fit_scale(whole: Split, indices: NDArray[np.intp]) -> Scale:
    """Computes `Scale.fit` of the inputs at `indices`, one chunk at a time.

    Args:
        whole: The split that holds the inputs, in memory or streamed.
        indices: Indices of the train examples.
    """
    # Sorted, so that a file is read from front to back.
    order, shape = np.sort(indices), whole.inputs.shape
    return Scale.fit_chunks(
        lambda: (whole.read(order[chunk]) for chunk in chunks(shape, len(order)))
    )
