"""The source `npz`: the user's own arrays, in an `.npz` or a folder of `.npy` files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.array_checks import check_arrays, is_column, to_labels, to_values
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split, Stream, Task
from expt.parts.data.duplicates import distinct_indices
from expt.parts.data.joined import concatenate_splits
from expt.parts.data.mapped import MappedInputs, fit_scale, is_pixels
from expt.parts.data.masks import nonzero_weight_indices, zero_weight_notes
from expt.parts.data.preparation import ArrayPreparation, summarize, to_inputs
from expt.parts.data.reading import (
    NO_CLASSES,
    check_choice,
    error_context,
    find_path,
    read_npy_folder,
    read_npz,
    to_weights,
)
from expt.parts.data.scale import Scale
from expt.parts.data.splitting import (
    DEFAULT_SPLIT,
    Shares,
    group_split_indices,
    split_indices,
    unused_note,
)


@dataclass(frozen=True, kw_only=True)
class Npz:
    """A data set of NumPy arrays of inputs and targets, whole or already split.

    The arrays are either `x` and `y`, which are split into train, validation and test (stratified
    by class), or `x_train`, `y_train`, `x_test`, `y_test` and optionally `x_val`, `y_val`; without
    the latter two, validation examples are drawn from the train examples. Optional arrays
    `weights`, `weights_train`, … weight the examples in loss and metrics; examples of weight 0 are
    left out. Next to `x` and `y`, an array `groups` of numbers or texts names the group of each
    example; a group is never divided between splits.

    Inputs of dtype uint8 and shape [examples, height, width] or [examples, height, width, channels]
    are images: they are scaled to pixels from 0 to 1 and get a channel axis. All other inputs are
    used unchanged. Validation and test inputs are converted like the train inputs; ambiguous ones,
    such as floats from 0 to 1 next to floats from 0 to 255, are refused.

    Args:
        path: Path of an `.npz`, or of a folder with one `.npy` file per array.
        batch_size: Examples per training step.
        task: `classification`, `regression`, or null: integers are classes, floats are values.
        split_seed: Seed for drawing the splits that are not given.
        split: Shares of train, validation and test, for the splits that are not given; sum 1.
        stream: Whether inputs stay on disk and are read batch by batch; needs a folder.
        standardize: Whether the model standardizes its inputs; null: tables yes, images no.
        standardize_targets: Whether a regression's loss is computed on standardized targets.
        duplicates: `keep`, or `drop` to drop repeated examples, within each split that is given.
        class_names: Names of the classes, indexed by label; null: the labels themselves.
        augment: Random changes of training inputs, see `Augmentation`.
        preparation: The preparation that a trained model recorded, to load other arrays for that
            model; null derives it from the train inputs.
    """

    path: str
    batch_size: int
    task: Task | None = None
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    stream: bool = False
    standardize: bool | None = None
    standardize_targets: bool = True
    duplicates: Literal["keep", "drop"] = "keep"
    class_names: Sequence[str] | None = None
    augment: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, Any] | None = None

    def load(self) -> Dataset:
        """Reads, checks and splits the arrays."""
        return self._load(is_split=True)

    def load_whole(self, class_names: Sequence[str], /) -> Dataset:
        """Reads and checks the arrays; given splits are joined.

        Args:
            class_names: The classes of the trained model; empty for a regression.
        """
        names = self.class_names or list(class_names) or None
        source = replace(self, batch_size=1, augment={}, class_names=names)
        return source._load(is_split=False)

    def _load(self, *, is_split: bool) -> Dataset:
        check_choice("task", self.task, (None, *get_args(Task)))
        check_choice("standardize", self.standardize, (None, True, False))
        check_choice("duplicates", self.duplicates, ("keep", "drop"))
        augmentation, shares = Augmentation.parse(self.augment), Shares.parse(self.split)
        raw, groups = self._read()
        with error_context(f"data.path={self.path}: "):
            check_arrays(raw, groups)
            task = self.task or _infer_task(raw)
            targets, class_names = self._targets(raw, task)
            preparation = self._preparation(raw)
            wholes = {
                part: Split(
                    self._inputs(split.inputs, part, preparation),
                    targets[part],
                    None if split.weights is None else to_weights(split.weights),
                )
                for part, split in raw.items()
            }
            # Before the split, or a duplicate could be in two splits.
            kept = {part: self._find_kept(split) for part, split in wholes.items()}
            num_dropped = sum(len(wholes[part]) - len(kept[part]) for part in kept)
            wholes = {part: split.take(kept[part]) for part, split in wholes.items()}
            if groups is not None:
                groups = groups[kept[""]]
            if is_split:
                chosen = self._draw_splits(wholes, task, groups, shares)
            else:
                whole = concatenate_splits(list(wholes.values()))
                chosen = [(whole, np.arange(len(whole)))] * 3
        # Before scales are fitted: examples of weight 0 may hold arbitrary values.
        counted = [
            (split, nonzero_weight_indices(split.weights, indices)) for split, indices in chosen
        ]
        lists = (counted, chosen) if is_split else (counted[:1], chosen[:1])
        sizes = [[len(indices) for _, indices in some] for some in lists]
        # Scales are fitted through the source: a stream is read in the order of its file.
        source, order = counted[0]
        train, validation, test = (split.take(indices) for split, indices in counted)
        is_table = len(source.inputs.shape) == 2
        standardize = is_table if self.standardize is None else self.standardize
        standardize_targets = task == "regression" and self.standardize_targets
        return Dataset(
            name="npz",
            task=task,
            train=train,
            validation=validation,
            test=test,
            batch_size=self.batch_size,
            class_names=class_names,
            input_scale=fit_scale(source, order) if standardize else None,
            target_scale=Scale.fit(train.targets) if standardize_targets else None,
            augmentation=augmentation,
            preparation=preparation.to_mapping(),
            notes=(
                *_notes(raw, None if self.task else task, num_dropped),
                *zero_weight_notes(sizes[0], sum(sizes[1])),
                *(unused_note(self.split) if is_split and "_val" in raw else ()),
            ),
        )

    def _find_kept(self, whole: Split) -> NDArray[np.intp]:
        return distinct_indices(whole) if self.duplicates == "drop" else np.arange(len(whole))

    def _read(self) -> tuple[dict[str, Split], NDArray[Any] | None]:
        """Reads the raw arrays.

        Returns:
            The splits by the suffix of their arrays, "" or "_train", "_val" and "_test"; and the
            groups, if given.
        """
        path = find_path(self.path)

        def choose(names: Sequence[str]) -> list[str]:
            with error_context(f"data.path={self.path}: "):
                return _select_arrays(names)

        if path.is_dir():
            arrays = read_npy_folder(path, choose, is_mapped=self.stream)
        # Members of an .npz can't be memory-mapped, compressed or not.
        elif self.stream:
            raise UserError(
                f"data.stream=true: data.path={self.path} is a file; expected a folder with the "
                "arrays as .npy files. Unzipping an .npz creates them."
            )
        else:
            arrays = read_npz(path, choose)
        parts = [name[1:] for name in arrays if name.startswith("x")]
        splits = {
            part: Split(arrays[f"x{part}"], arrays[f"y{part}"], arrays.get(f"weights{part}"))
            for part in parts
        }
        return splits, arrays.get("groups")

    def _preparation(self, raw: Mapping[str, Split]) -> ArrayPreparation:
        """Returns the trained model's preparation, or derives one from the train inputs."""
        if self.preparation is not None:
            return ArrayPreparation.from_mapping(self.preparation)
        array: Any = next(iter(raw.values())).inputs
        return ArrayPreparation(255.0 if is_pixels(array) else 1.0, summarize(array))

    def _inputs(
        self, array: Any, part: str, preparation: ArrayPreparation
    ) -> NDArray[np.floating[Any]] | Stream:
        # Every part is compared with the train part: files are often saved by different scripts.
        with error_context(f"x{part}: "):
            divisor = preparation.divisor_for(summarize(array), has_images=array.ndim > 2)
        if preparation.divisor != 1 and array.ndim == 3:
            array = array[..., None]  # fractions need the channel axis that pixels got
        if not self.stream:
            return to_inputs(array, divisor)
        # From the dtype alone: looking for values that float32 rounds would read the whole file.
        is_exact = divisor != 1 or np.can_cast(array.dtype, np.float32)
        dtype = np.dtype(np.float32 if is_exact else np.float64)
        return MappedInputs(array, np.arange(len(array)), divisor, dtype)

    def _targets(
        self, raw: Mapping[str, Split], task: Task
    ) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
        """Converts the targets of each part; returns them and the class names."""
        if task == "regression":
            return {part: to_values(split.targets, part) for part, split in raw.items()}, ()
        labels = {part: to_labels(split.targets, part) for part, split in raw.items()}
        trained = np.unique(labels[next(iter(labels))])
        if len(trained) < 2 and self.class_names is None:
            raise UserError(f"all labels are {trained[0]}; expected at least two classes.")
        highest = max(int(values.max()) for values in labels.values())
        names = self.class_names
        # A gap is more likely a mistake, such as labels from 1 on, than a class without examples.
        if names is None and len(trained) != highest + 1:
            present = set(trained.tolist())
            absent = next(k for k in range(highest + 1) if k not in present)
            raise UserError(
                f"the labels go up to {highest}, but class {absent} has no example to train on; "
                "expected labels from 0 on without gaps. If some classes may be absent, name all "
                "with data.class_names=[…]; if the targets are values: data.task=regression."
            )
        named = tuple(map(str, range(highest + 1) if names is None else names))
        if isinstance(names, str) or len(named) <= highest or len(set(named)) < len(named):
            raise UserError(
                f"the labels go up to {highest}; data.class_names={names}: expected a list of at "
                f"least {highest + 1} names, all different."
            )
        return {part: values.astype(np.int32) for part, values in labels.items()}, named

    def _draw_splits(
        self,
        wholes: Mapping[str, Split],
        task: Task,
        groups: NDArray[Any] | None,
        shares: Shares,
    ) -> list[tuple[Split, NDArray[np.intp]]]:
        """Returns the source and the indices of the train, validation and test examples."""
        if "_val" in wholes:
            given = (wholes[part] for part in ("_train", "_val", "_test"))
            return [(split, np.arange(len(split))) for split in given]
        whole = next(iter(wholes.values()))
        stratify = whole.targets if task == "classification" else None
        with error_context(advice="" if stratify is None or self.task else NO_CLASSES):
            if groups is None:
                indices = split_indices(len(whole), self.split_seed, stratify, shares)
            else:
                indices = group_split_indices(groups, self.split_seed, stratify, shares)
        # With a test split of its own, the share drawn for test is trained on.
        train, validation, rest = indices
        if "_test" not in wholes:
            return [(whole, train), (whole, validation), (whole, rest)]
        test = wholes["_test"]
        kept = np.concatenate([train, rest])
        return [(whole, kept), (whole, validation), (test, np.arange(len(test)))]


def _select_arrays(names: Sequence[str]) -> list[str]:
    """Returns the names of the arrays to read, given those of all arrays."""
    is_split = any(name.startswith(("x_", "y_")) for name in names)
    needed = ["x_train", "y_train", "x_test", "y_test"] if is_split else ["x", "y"]
    if is_split and {"x_val", "y_val"} & set(names):
        needed[2:2] = ["x_val", "y_val"]
    missing = [name for name in needed if name not in names]
    if missing:
        raise UserError(
            f"the arrays {', '.join(missing)} are missing; it has {', '.join(names) or 'none'}. "
            "Expected x and y, or x_train, y_train, x_test, y_test and optionally x_val, y_val; "
            "each pair may have weights: weights, weights_train, …"
        )
    # Groups decide the split, so they make no sense where the splits are given.
    weights = [f"weights{name[1:]}" for name in needed if name.startswith("x")]
    beside = weights if is_split else [*weights, "groups"]
    unused = [n for n in names if n.startswith(("weights", "groups")) and n not in beside]
    if unused:
        raise UserError(
            f"the array {unused[0]} belongs to no inputs; expected {' or '.join(beside)}."
        )
    return [*needed, *(name for name in beside if name in names)]


def _infer_task(raw: Mapping[str, Split]) -> Task:
    part, split = next(iter(raw.items()))
    # By dtype, not by values: floats such as 1.0 and 2.0 may be ratings to predict.
    if split.targets.dtype.kind == "f":
        return "regression"
    if is_column(split.targets):
        return "classification"
    raise UserError(
        f"y{part} has the shape {split.targets.shape} and whole numbers, which may be classes or "
        "values. For classes, expected labels of shape (examples,); y.argmax(axis=1) converts "
        "one-hot targets. For values: data.task=regression."
    )


def _notes(raw: Mapping[str, Split], inferred: Task | None, num_dropped: int) -> tuple[str, ...]:
    """Returns notes on the inferred task, if any, and on dropped duplicates."""
    notes = []
    part, split = next(iter(raw.items()))
    if inferred == "classification":
        notes.append(
            f"task: classification, since y{part} has whole numbers ({split.targets.dtype}), one "
            "for each example. If they are values: data.task=regression."
        )
    if inferred == "regression":
        notes.append(
            f"task: regression, since y{part} has numbers of the type {split.targets.dtype}. "
            "Classes are whole numbers of an integer type."
        )
    if num_dropped:
        notes.append(f"{num_dropped:,} duplicates of other examples were dropped.")
    return tuple(notes)
