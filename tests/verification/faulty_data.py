"""A user's data source that returns its examples in a different order on each load or read."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split, Task


@dataclass(frozen=True, eq=False)
class RandomReads:
    """A stream that returns the right examples in a random order."""

    array: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.array.tobytes()).hexdigest()

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self.array[np.random.default_rng().permutation(indices)]
        return rows

    def take(self, indices: NDArray[np.integer[Any]]) -> "RandomReads":
        return replace(self, array=self.array[indices])


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points in three dimensions; each load, or each read of a stream, has a different order."""

    streams: bool
    batch_size: int = 8
    task: Task = "classification"

    def load(self) -> Dataset:
        random = np.random.default_rng(0)
        points = random.normal(size=(160, 3)).astype(np.float32)
        classes = (points[:, 0] > 0).astype(np.int32)
        split = Split(RandomReads(points) if self.streams else points, classes)
        order = np.arange(160) if self.streams else np.random.default_rng().permutation(160)
        train, validation, test = (split.take(part) for part in np.split(order, [120, 140]))
        names = ("left", "right")
        return Dataset("points", self.task, train, validation, test, self.batch_size, names)
