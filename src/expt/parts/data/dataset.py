"""What every data source loads: three splits and what is known about them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation, is_image
from expt.parts.data.masks import counted_indices, masked_notes
from expt.parts.data.scale import Scale

Task = Literal["classification", "regression"]


class Stream(Protocol):
    """Inputs that stay on disk and are read when a batch needs them.

    `read` returns float32, unless the stream has a `dtype` that says otherwise. What a run was
    trained on is recognized later by hashes of arrays and of image files; other streams would have
    to be read once more for that, so that `evaluate` can't tell their examples apart.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, then the shape of one."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the content of all inputs."""
        ...

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Reads some inputs, shape [indices, ...]; called from several threads at once."""
        ...

    def take(self, indices: NDArray[np.integer[Any]]) -> "Stream":
        """Returns the stream of some of the inputs."""
        ...


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        inputs: Shape [examples, ...], or a stream of such; float64 where a model standardises
            values that float32 would round, else float32.
        targets: Class numbers, int32 of shape [examples], or values, float64 of shape
            [examples, values].
        weights: How much each example counts in the loss and the metrics, float32 of shape
            [examples], at least 0; an example of weight 0 is left out. None counts all alike.
    """

    inputs: NDArray[np.floating[Any]] | Stream
    targets: NDArray[Any]
    weights: NDArray[np.float32] | None = None
    known_keys: dict[str, NDArray[np.uint64]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Hashes of the inputs by the type that they were computed in, so that it is done once."""

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the inputs."""
        return np.dtype(getattr(self.inputs, "dtype", np.float32))

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Returns some inputs, shape [indices, ...]."""
        inputs = self.inputs
        return inputs[indices] if isinstance(inputs, np.ndarray) else inputs.read(indices)

    def first(self, count: int) -> NDArray[np.floating[Any]]:
        """Returns the first inputs, shape [count, ...], or all if there are fewer."""
        return self.read(np.arange(min(count, len(self))))

    def take(self, indices: NDArray[np.integer[Any]]) -> "Split":
        """Returns the split of some of the examples."""
        inputs = self.inputs
        return Split(
            inputs[indices] if isinstance(inputs, np.ndarray) else inputs.take(indices),
            self.targets[indices],
            None if self.weights is None else self.weights[indices],
        )

    def counted(self) -> "Split":
        """Returns the split without the examples of weight 0, if it has others."""
        indices = counted_indices(self.weights, np.arange(len(self)))
        return self if len(indices) == len(self) else self.take(indices)


@dataclass(frozen=True)
class Dataset:
    """Three splits, in memory or streamed.

    Attributes:
        name: What the data is called in records.
        task: What its targets ask for; it decides which losses and metrics fit.
        train: What is trained on.
        validation: What is evaluated at a cadence, and what the best model is chosen by.
        test: What is evaluated once, at the end.
        batch_size: Examples a training step.
        class_names: Names of the classes in the order of their numbers; empty for regression.
        input_scale: What a model standardises its inputs with, fitted on the train split; it
            becomes the model's first layer, so that a saved model takes inputs as they are.
        target_scale: What the loss of a regression sees targets and outputs standardised with;
            models give, and metrics compare, values in the targets' own unit.
        augmentation: How training inputs are changed at random.
        skipped: How many examples were left out because they could not be read.
        preparation: How raw inputs became the model's inputs, as plain values that JSON can hold,
            its `kind` among them; None where a source does not say.
        feature_names: Names of a table's features, in their order; empty for other data.
        other_columns: Names of a table's columns that are no features, by what they are: target,
            weight, group.
        notes: What a user should know of how the data was read, a sentence each.

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
    input_scale: Scale | None = None
    target_scale: Scale | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    skipped: int = 0
    preparation: Mapping[str, Any] | None = None
    feature_names: tuple[str, ...] = ()
    other_columns: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

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
            arrays = [a for a in (split.inputs, split.targets) if isinstance(a, np.ndarray)]
            if not all(np.isfinite(array).all() for array in arrays):
                raise UserError(f"data={self.name}: the {name} split has values that are NaN or ∞.")
            self._check_targets(name, split.targets)
            self._check_weights(name, split)
        if not 1 <= self.batch_size <= len(self.train):
            raise UserError(
                f"data.batch_size={self.batch_size}: data={self.name} has {len(self.train)} "
                "training examples; expected a number from 1 to that."
            )
        self.augmentation.check(self.name, self.input_shape, self.batch_size)

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

    def _check_weights(self, name: str, split: Split) -> None:
        weights = split.weights
        if weights is None:
            return
        is_right = weights.shape == (len(split),) and np.isfinite(weights).all()
        if not is_right or weights.min() < 0 or weights.sum() == 0:
            raise UserError(
                f"data={self.name}: weights of the {name} split have the shape {weights.shape}; "
                "expected (examples,), finite numbers of at least 0, and not all of them 0."
            )

    def splits(self) -> Iterator[tuple[str, Split]]:
        """Yields each split with the name it has in metrics: train, val, test."""
        yield from zip(("train", "val", "test"), self._in_order, strict=True)

    @property
    def _in_order(self) -> tuple[Split, Split, Split]:
        return self.train, self.validation, self.test

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
        return is_image(self.input_shape)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches an epoch; the few examples left over differ from epoch to epoch."""
        return len(self.train) // self.batch_size

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all the splits' contents, and of the names of classes and columns.

        Where the data lies, and what its file is called, makes no difference.
        """
        names = (self.class_names, self.feature_names, sorted(self.other_columns.items()))
        text = json.dumps([self.content_fingerprint, *names])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @cached_property
    def content_fingerprint(self) -> str:
        """A hash of all the splits' contents alone; what older runs recorded as the fingerprint."""
        digest = hashlib.blake2b(digest_size=16)
        for name, split in self.splits():
            for array in (split.inputs, split.targets, split.weights):
                if isinstance(array, np.ndarray):
                    digest.update(f"{name} {array.dtype} {array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).data)
                elif array is not None:
                    digest.update(f"{name} {array.fingerprint} {array.shape}".encode())
        return digest.hexdigest()

    def has_fingerprint(self, recorded: str) -> bool:
        """Whether a fingerprint, which an older run may have recorded, is that of the data."""
        return recorded in (self.fingerprint, self.content_fingerprint)

    def with_float32_inputs(self) -> "Dataset":
        """Returns the data with inputs in memory rounded to float32."""
        train, validation, test = (
            replace(split, inputs=split.inputs.astype(np.float32, copy=False))
            if isinstance(split.inputs, np.ndarray)
            else split
            for split in self._in_order
        )
        return replace(self, train=train, validation=validation, test=test)

    def counted(self) -> "Dataset":
        """Returns the data without the examples of weight 0.

        They would have no part in any gradient, but in the statistics of batch normalisation, in
        standardisation and in a user's metric that takes no weights; and a batch of them alone
        has no loss.
        """
        splits = [split.counted() for split in self._in_order]
        notes = masked_notes(map(len, splits), sum(map(len, self._in_order)))
        if not notes:
            return self
        train, validation, test = splits
        notes = (*self.notes, *notes)
        return replace(self, train=train, validation=validation, test=test, notes=notes)

    def limited(self, num_batches: int) -> "Dataset":
        """Returns the data with at most so many batches' worth of examples in each split.

        They are drawn at random, but always the same ones.
        """
        count, random = num_batches * self.batch_size, np.random.default_rng(0)
        train, validation, test = (
            split.take(random.permutation(len(split))[:count]) for split in self._in_order
        )
        return replace(self, train=train, validation=validation, test=test)
