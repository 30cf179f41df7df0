"""The data set that every source loads: three splits, their task, scales and class names."""

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
from expt.parts.data.masks import nonzero_weight_indices, zero_weight_notes
from expt.parts.data.scale import Scale

Task = Literal["classification", "regression"]


class Stream(Protocol):
    """Inputs that stay on disk and are read batch by batch.

    `read` returns float32 unless the stream has an attribute `dtype`. `evaluate` recognizes the
    examples that a run was trained on by hashes; a custom stream is not hashed, since that would
    read all of it once more, so its training examples are not recognized.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, followed by the shape of one input."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of the content of all inputs."""
        ...

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Reads the inputs at `indices`, shape [indices, ...]; must be thread-safe."""
        ...

    def take(self, indices: NDArray[np.integer[Any]]) -> "Stream":
        """Returns a stream of the inputs at `indices`, in that order."""
        ...


@dataclass(frozen=True)
class Split:
    """One split of a data set.

    Attributes:
        inputs: An array of shape [examples, ...], or a stream; float64 if float32 would round
            values that the model standardizes, else float32.
        targets: Labels, int32 of shape [examples], or values, float64 of shape
            [examples, values].
        weights: Weights of the examples in the loss and the metrics, float32 of shape [examples],
            at least 0; an example of weight 0 is left out. If None, all count equally.
        hash_cache: Hashes of the inputs by the dtype in which they were computed, since several
            checks need the same ones.

    Raises:
        UserError: The inputs, targets or weights are not an array, such as a list.
    """

    inputs: NDArray[np.floating[Any]] | Stream
    targets: NDArray[Any]
    weights: NDArray[np.float32] | None = None
    hash_cache: dict[str, NDArray[np.uint64]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("inputs", "targets", "weights"):
            array = getattr(self, name)
            if array is not None and not hasattr(array, "shape"):
                raise UserError(
                    f"data: the {name} of a split are a {type(array).__name__}; expected a NumPy "
                    f"array, such as np.asarray({name})."
                )

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the inputs."""
        return np.dtype(getattr(self.inputs, "dtype", np.float32))

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.floating[Any]]:
        """Returns the inputs at `indices`, shape [indices, ...]."""
        inputs = self.inputs
        return inputs[indices] if isinstance(inputs, np.ndarray) else inputs.read(indices)

    def first(self, count: int) -> NDArray[np.floating[Any]]:
        """Returns the first `count` inputs, shape [count, ...], or all if there are fewer."""
        return self.read(np.arange(min(count, len(self))))

    def take(self, indices: NDArray[np.integer[Any]]) -> "Split":
        """Returns a split of the examples at `indices`, in that order."""
        inputs = self.inputs
        return Split(
            inputs[indices] if isinstance(inputs, np.ndarray) else inputs.take(indices),
            self.targets[indices],
            None if self.weights is None else self.weights[indices],
        )

    def without_zero_weights(self) -> "Split":
        """Returns the split without the examples of weight 0, unless all have that weight."""
        indices = nonzero_weight_indices(self.weights, np.arange(len(self)))
        return self if len(indices) == len(self) else self.take(indices)


@dataclass(frozen=True)
class Dataset:
    """Three splits, in memory or streamed.

    Attributes:
        name: The name of the data set in records and messages.
        task: The kind of targets, which decides the losses and metrics that fit.
        train: The train split.
        validation: The split that is evaluated at a cadence, and that selects the best model.
        test: The split that is evaluated once, at the end.
        batch_size: Examples per training step.
        class_names: Names of the classes, indexed by label; empty for a regression.
        input_scale: The scale that standardizes inputs, fitted on the train split. It becomes the
            model's first layer, so that a saved model takes raw inputs. None if unused.
        target_scale: The scale that standardizes targets and outputs inside the loss of a
            regression. Outputs and metrics stay in the unit of the targets. None if unused.
        augmentation: Random changes of training inputs.
        skipped: The number of examples that were left out because they could not be read.
        preparation: The conversion from raw inputs to the model's inputs, in JSON-compatible
            values, with the key `kind`; None if the source has none.
        feature_names: Names of a table's features, in order; empty for other data.
        other_columns: Names of a table's columns that are not features, by role: target, weight,
            group.
        notes: Sentences that are shown to the user, on how the data was read.

    Raises:
        UserError: If shapes or lengths don't match, or values are not finite.
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

    # Checked here, once for all sources, a user's own included.
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
            # Streams are not checked: that would read all of their data before training.
            arrays = [a for a in (split.inputs, split.targets) if isinstance(a, np.ndarray)]
            if not all(np.isfinite(array).all() for array in arrays):
                raise UserError(f"data={self.name}: the {name} split has values that are NaN or ∞.")
            self._check_targets(name, split.targets)
            self._check_weights(name, split)
        if not 1 <= self.batch_size <= len(self.train):
            raise UserError(
                f"data.batch_size={self.batch_size}: data={self.name} has {len(self.train)} "
                f"training examples; expected a number from 1 to {len(self.train)}."
            )
        self.augmentation.check(self.name, self.input_shape, self.batch_size)

    def _check_targets(self, name: str, targets: NDArray[Any]) -> None:
        if self.task == "classification":
            is_whole = targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer)
            if not is_whole or targets.min() < 0 or targets.max() >= len(self.class_names):
                raise UserError(
                    f"data={self.name}: the targets of the {name} split are not all labels from 0 "
                    f"to {len(self.class_names) - 1}: got {targets.dtype} of shape "
                    f"{targets.shape}; expected whole numbers of shape ({len(targets)},)."
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
        # A sum of 0 would make every weighted mean of the split 0/0.
        is_right = weights.shape == (len(split),) and np.isfinite(weights).all()
        if not is_right or weights.min() < 0 or weights.sum() == 0:
            raise UserError(
                f"data={self.name}: the weights of the {name} split, of shape {weights.shape}, are "
                f"invalid; expected the shape ({len(split)},) and finite numbers of at least 0, "
                "not all of them 0."
            )

    def splits(self) -> Iterator[tuple[str, Split]]:
        """Yields each split with its name in metrics: train, val, test."""
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
        """The number of outputs that a model needs for one input: classes or values."""
        if self.task == "classification":
            return len(self.class_names)
        return int(self.train.targets.shape[1])

    @property
    def has_images(self) -> bool:
        """Whether an input is an image: height, width and one or three channels."""
        return is_image(self.input_shape)

    @property
    def steps_per_epoch(self) -> int:
        """The number of full batches per epoch; each epoch leaves out different examples."""
        # A smaller last batch would give the compiled step a second shape.
        return len(self.train) // self.batch_size

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the contents of all splits and of the names of classes and columns.

        It does not depend on the path of the data.
        """
        # As JSON, which quotes names: joined texts of different names could be the same.
        names = (self.class_names, self.feature_names, sorted(self.other_columns.items()))
        text = json.dumps([self.content_fingerprint, *names])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @cached_property
    def content_fingerprint(self) -> str:
        """A hash of the contents of all splits, without names."""
        # Older runs recorded this hash as their fingerprint, so its bytes must never change.
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
        """Whether a recorded fingerprint, of this or an older version, matches the data."""
        return recorded in (self.fingerprint, self.content_fingerprint)

    def with_float32_inputs(self) -> "Dataset":
        """Returns the data set with in-memory inputs rounded to float32."""
        train, validation, test = (
            replace(split, inputs=split.inputs.astype(np.float32, copy=False))
            if isinstance(split.inputs, np.ndarray)
            else split
            for split in self._in_order
        )
        return replace(self, train=train, validation=validation, test=test)

    def without_zero_weights(self) -> "Dataset":
        """Returns the data set without the examples of weight 0.

        Such examples contribute to no gradient, but they would count in batch normalization, in
        standardization, and in custom metrics that ignore weights. A batch that consists of them
        alone has no loss.
        """
        splits = [split.without_zero_weights() for split in self._in_order]
        notes = zero_weight_notes(map(len, splits), sum(map(len, self._in_order)))
        if not notes:
            return self
        train, validation, test = splits
        notes = (*self.notes, *notes)
        return replace(self, train=train, validation=validation, test=test, notes=notes)

    def limited(self, num_batches: int) -> "Dataset":
        """Returns the data set with at most `num_batches` batches of examples in each split.

        The examples are drawn at random with a fixed seed.
        """
        # The first examples of a file that is sorted by class would all be of one class.
        count, random = num_batches * self.batch_size, np.random.default_rng(0)
        train, validation, test = (
            split.take(random.permutation(len(split))[:count]) for split in self._in_order
        )
        return replace(self, train=train, validation=validation, test=test)
