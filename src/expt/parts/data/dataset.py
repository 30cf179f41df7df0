"""What every data source loads: three splits of arrays and what is known about them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        inputs: float32, shape [examples, ...].
        targets: Class numbers, int32 of shape [examples], or values, float32 of shape
            [examples, values].
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Dataset:
    """Data that fits in memory.

    Attributes:
        name: What the data is called in records.
        task: What is to be learned; it decides which losses and metrics fit.
        train: What is trained on.
        validation: What is evaluated at a cadence, and what the best model is chosen by.
        test: What is evaluated once, at the end.
        batch_size: Examples a training step.
        class_names: Names of the classes in the order of their numbers; empty for regression.

    Raises:
        UserError: The arrays don't fit together or hold values that are not finite.
    """

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split
    batch_size: int
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, split in self.splits():
            if len(split) == 0 or len(split) != len(split.targets):
                raise UserError(
                    f"data={self.name}: the {name} split has {len(split)} inputs and "
                    f"{len(split.targets)} targets; expected as many of each, and at least one."
                )
            if split.inputs.shape[1:] != self.input_shape:
                raise UserError(
                    f"data={self.name}: inputs of the {name} split have the shape "
                    f"{split.inputs.shape[1:]}, those of the train split {self.input_shape}."
                )
            if not (np.isfinite(split.inputs).all() and np.isfinite(split.targets).all()):
                raise UserError(f"data={self.name}: the {name} split has values that are NaN or ∞.")
            self._check_targets(name, split.targets)
        if not 1 <= self.batch_size <= len(self.train):
            raise UserError(
                f"data.batch_size={self.batch_size}: data={self.name} has {len(self.train)} "
                "training examples; expected a number from 1 to that."
            )

    def _check_targets(self, name: str, targets: NDArray[Any]) -> None:
        if self.task == "classification":
            is_whole = targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer)
            if not is_whole or targets.min() < 0 or targets.max() >= len(self.class_names):
                raise UserError(
                    f"data={self.name}: targets of the {name} split are not all class numbers "
                    f"from 0 to {len(self.class_names) - 1}, of shape (examples,)."
                )
        elif targets.ndim != 2 or targets.shape[1:] != self.train.targets.shape[1:]:
            raise UserError(
                f"data={self.name}: targets of the {name} split have the shape {targets.shape}; "
                "expected (examples, values), with as many values in each split."
            )

    def splits(self) -> Iterator[tuple[str, Split]]:
        """Yields each split with the name it has in metrics: train, val, test."""
        yield from (("train", self.train), ("val", self.validation), ("test", self.test))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return self.train.inputs.shape[1:]

    @property
    def num_outputs(self) -> int:
        """How many numbers a model must give for one input."""
        if self.task == "classification":
            return len(self.class_names)
        return int(self.train.targets.shape[1])

    @property
    def has_images(self) -> bool:
        """Whether an input is an image: height, width and one or three channels."""
        return len(self.input_shape) == 3 and self.input_shape[-1] in (1, 3)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches an epoch; the few examples left over differ from epoch to epoch."""
        return len(self.train) // self.batch_size

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all the arrays' contents."""
        digest = hashlib.blake2b(digest_size=16)
        for name, split in self.splits():
            for array in (split.inputs, split.targets):
                digest.update(f"{name} {array.dtype} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


class Source(Protocol):
    """What a data part must offer. Making one must be cheap; `load` does the work."""

    @property
    def task(self) -> Task:
        """The task of the data, known before it is loaded."""
        ...

    def load(self) -> Dataset:
        """Loads the data.

        Raises:
            UserError: The data is not there or is damaged; the message says what to do.
        """
        ...
