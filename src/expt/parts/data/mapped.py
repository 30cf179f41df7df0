"""Arrays as inputs: in memory, or mapped into memory from a file and read in pieces."""

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
    """Inputs in an array that is mapped into memory: a stream.

    Attributes:
        array: All inputs of the file, as they are.
        indices: Which of them these are, in their order.
        divisor: See `to_inputs`.
        dtype: float64 for values that float32 would round and a model standardises, else float32.
    """

    array: NDArray[Any]
    indices: NDArray[np.integer[Any]]
    divisor: float = 1.0
    dtype: np.dtype[Any] = np.dtype(np.float32)  # noqa: RUF009  immutable

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, then the shape of one."""
        channels = (1,) if self.divisor != 1 and self.array.ndim == 3 else ()
        return (len(self.indices), *self.array.shape[1:], *channels)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the inputs and their order, read through the file from its start on."""
        order = np.argsort(self.indices, kind="stable")
        digest = hashlib.blake2b(order.astype(np.int64).data, digest_size=16)
        for chunk in chunks(self.shape, len(order)):
            digest.update(np.ascontiguousarray(self.read(order[chunk])).data)
        return digest.hexdigest()

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Reads some inputs, shape [indices, ...], in the order in which they lie in the file."""
        places = self.indices[indices]
        order = np.argsort(places, kind="stable")
        inputs = np.empty((len(places), *self.shape[1:]), self.dtype)
        inputs[order] = to_inputs(self.array[places[order]], self.divisor)
        return inputs

    def take(self, indices: NDArray[np.integer[Any]]) -> "MappedInputs":
        """Returns the stream of some of the inputs."""
        return replace(self, indices=self.indices[indices])


def is_pixels(array: NDArray[Any]) -> bool:
    """Whether an array is of images of whole numbers from 0 to 255."""
    return array.dtype == np.uint8 and array.ndim in (3, 4)


def fit_scale(whole: Split, indices: NDArray[np.intp]) -> Scale:
    """Does what `Scale.fit` does, a chunk of the inputs at a time."""
    order, shape = np.sort(indices), whole.inputs.shape
    return Scale.fit_chunks(
        lambda: (whole.read(order[chunk]) for chunk in chunks(shape, len(order)))
    )
