"""Arrays as inputs: in memory, or mapped into memory from a file and read in pieces."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.parts.data.preparation import Summary, exact_float32
from expt.parts.data.scale import Scale

_VALUES_AT_ONCE = 2**22


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


def to_inputs(array: NDArray[Any], divisor: float) -> NDArray[np.floating[Any]]:
    """Returns an array as inputs.

    Args:
        array: Raw values, shape [examples, ...].
        divisor: The raw value that becomes 1: that of images, which get an axis of channels if
            they have none. 1 takes the values as they are.

    Returns:
        float32; or float64 where that would lose digits of values taken as they are.
    """
    if divisor == 1:
        return exact_float32(array)
    images: NDArray[Any] = array[..., None] if array.ndim == 3 else array
    pixels: NDArray[np.float32] = np.divide(images, np.float32(divisor), dtype=np.float32)
    return pixels


def summarize(array: NDArray[Any]) -> Summary:
    """Summarizes an array a piece at a time, since it may be mapped into memory."""
    return Summary.of(array[chunk] for chunk in chunks(array.shape, len(array)))


def chunks(shape: tuple[int, ...], count: int) -> Iterator[slice]:
    """Yields slices of so many examples, each small enough to be read at once."""
    step = max(1, _VALUES_AT_ONCE // math.prod(shape[1:]))
    return (slice(start, start + step) for start in range(0, count, step))


def fit_scale(whole: Split, indices: NDArray[np.intp]) -> Scale:
    """Does what `Scale.fit` does, a chunk of the inputs at a time."""
    order, shape = np.sort(indices), whole.inputs.shape
    return Scale.fit_chunks(
        lambda: (whole.read(order[chunk]) for chunk in chunks(shape, len(order)))
    )
