"""The sources `mnist` and `fashion_mnist`, read from the user's copies of the published files."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.idx import find_idx_files, is_idx, read_idx
from expt.parts.data.joined import concatenate_splits
from expt.parts.data.preparation import ArrayPreparation, Summary
from expt.parts.data.reading import read_npz

_KEYS = ("x_train", "y_train", "x_test", "y_test")
_BRIGHTEST = 255.0
_NUM_PUBLISHED = {"train": 60_000, "test": 10_000}
# SHA-256 of the published labels, one byte each. The files of both data sets have the same names
# and sizes, so that only their content shows which ones a user has.
_PUBLISHED = {
    "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13": ("mnist", "train"),
    "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5": ("mnist", "test"),
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": ("fashion_mnist", "train"),
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9": ("fashion_mnist", "test"),
}


@dataclass(frozen=True, kw_only=True)
class MNIST:
    """Handwritten digits: 60,000 train and 10,000 test images of 28x28x1 pixels from 0 to 1.

    The files are the four IDX files as published, compressed with gzip or not, or an `.npz` with
    the arrays x_train, y_train, x_test and y_test. Images in an `.npz` are whole numbers from 0 to
    255, of any dtype, or fractions from 0 to 1.

    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 1998.

    Args:
        path: Path of an `.npz`, or of a folder with the four IDX files or `mnist.npz`.
        batch_size: Examples per training step.
        num_validation: Number of train images held out for validation.
        split_seed: Seed for choosing the validation images.
        augment: Random changes of training images, see `Augmentation`.
    """

    path: str
    batch_size: int
    num_validation: int = 10_000
    split_seed: int = 0
    augment: Mapping[str, Any] = field(default_factory=dict)
    task: Task = "classification"
    name: ClassVar[str] = "mnist"
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")

    def load(self) -> Dataset:
        """Reads the files and holds out the validation split.

        Raises:
            UserError: If the files are missing or damaged, or an option is out of range.
        """
        parts = self._parts()
        train = parts["train"].split()
        if not 0 < self.num_validation < len(train):
            raise UserError(
                f"data.num_validation={self.num_validation}: expected a number from 1 to below "
                f"{len(train)}, the train images in {self.path}."
            )
        order = np.random.default_rng(self.split_seed).permutation(len(train))
        # Drawn by a seed that is not the run's: runs with different seeds stay comparable.
        held_out, rest = order[: self.num_validation], order[self.num_validation :]
        return Dataset(
            name=self.name,
            task=self.task,
            train=train.take(rest),
            validation=train.take(held_out),
            test=parts["test"].split(),
            batch_size=self.batch_size,
            class_names=self.class_names,
            augmentation=Augmentation.parse(self.augment),
            preparation=parts["train"].preparation.to_mapping(),
            notes=tuple(self._notes(parts)),
        )

    def load_whole(self, _class_names: Sequence[str], /) -> Dataset:
        """Reads the files and joins train and test images. The classes are those of the source."""
        parts = self._parts()
        whole = concatenate_splits([part.split() for part in parts.values()])
        return Dataset(
            name=self.name,
            task=self.task,
            train=whole,
            validation=whole,
            test=whole,
            batch_size=1,
            class_names=self.class_names,
            preparation=parts["train"].preparation.to_mapping(),
            notes=tuple(self._notes(parts)),
        )

    def _parts(self) -> dict[str, "_Part"]:
        found = _read(self.path, self.name)
        return {
            part: _Part.of(found[f"x_{part}"], found[f"y_{part}"], len(self.class_names))
            for part in ("train", "test")
        }

    def _notes(self, parts: Mapping[str, "_Part"]) -> Iterator[str]:
        """Yields warnings for files that may not be the ones they are taken for."""
        # Only notes: people train on subsets and variants of these files on purpose.
        for part, known in parts.items():
            published = known.published()
            if published is not None and published != (self.name, part):
                name, of_part = published
                choice = "" if name == self.name else f", or choose data={name}"
                yield (
                    f"the {part} labels are those published as the {of_part} labels of {name}; "
                    f"check the files{choice}."
                )
            elif published is None and len(known.labels) == _NUM_PUBLISHED[part]:
                yield (
                    f"the {part} labels differ from the published ones, or come in another order; "
                    "scores may not be comparable with published ones."
                )
        num_train, num_test = (len(parts[part].labels) for part in ("train", "test"))
        if num_test > num_train:
            yield (
                f"there are more test images ({num_test:,}) than train images ({num_train:,}); "
                "check whether their files are swapped."
            )
        for part, known in parts.items():
            white, brightest = known.preparation.divisor, known.preparation.trained_on.most
            if brightest < white / 2:
                yield (
                    f"no {part} image has a pixel above {brightest:g}, although pixels are assumed "
                    f"to range from 0 to {white:g}."
                )


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(MNIST):
    """Images of clothes: 60,000 train and 10,000 test images of 28x28x1 pixels from 0 to 1.

    The files have the formats and names of MNIST's.

    Source: H. Xiao et al., "Fashion-MNIST", arXiv:1708.07747, 2017.

    Args:
        path: Path of an `.npz`, or of a folder with the four IDX files or `fashion_mnist.npz`.
        batch_size: Examples per training step.
        num_validation: Number of train images held out for validation.
        split_seed: Seed for choosing the validation images.
        augment: Random changes of training images, see `Augmentation`.
    """

    name: ClassVar[str] = "fashion_mnist"
    class_names: ClassVar[tuple[str, ...]] = (
        "T-shirt",
        "trousers",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "boot",
    )


@dataclass(frozen=True)
class _Found:
    """An array and its origin, such as a path, for messages."""

    array: NDArray[Any]
    place: str


@dataclass(frozen=True)
class _Part:
    """The raw train or test examples.

    Attributes:
        images: Raw pixels, shape [examples, height, width].
        labels: Labels, shape [examples].
        preparation: The conversion of raw pixels to inputs.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    preparation: ArrayPreparation

    @classmethod
    def of(cls, images: _Found, labels: _Found, num_classes: int) -> "_Part":
        """Makes a part of images and labels that are found to match.

        Raises:
            UserError: If they are not images and labels, or differ in number.
        """
        if images.array.ndim == 1 and labels.array.ndim > 2:
            raise UserError(
                f"data.path: {images.place} holds labels and {labels.place} holds images; swap "
                "their names."
            )
        # Swapped files are reported as such above, before a message about shapes would hide it.
        levels, classes = _images(images), _labels(labels, num_classes)
        if len(levels) != len(classes):
            raise UserError(
                f"data.path: {images.place} has {len(levels):,} images and {labels.place} "
                f"{len(classes):,} labels; expected the same number."
            )
        return cls(levels, classes, _preparation(levels, images.place))

    def published(self) -> tuple[str, str] | None:
        """Returns the data set and the part that these labels were published as, if any."""
        labels = self.labels.astype(np.uint8).tobytes()
        return _PUBLISHED.get(hashlib.sha256(labels).hexdigest())

    def split(self) -> Split:
        """Returns the examples as a split, with pixels from 0 to 1."""
        divisor = np.float32(self.preparation.divisor)
        pixels = np.divide(self.images[..., None], divisor, dtype=np.float32)
        return Split(pixels, self.labels.astype(np.int32))


def _read(path: object, name: str) -> dict[str, _Found]:
    if not isinstance(path, str) or not path:
        raise UserError(f"data.path={path}: expected the path of a file or folder.")
    place = Path(os.path.expanduser(path))  # noqa: PTH111  never raises
    archive = next((file for file in (place, place / f"{name}.npz") if _is_file(file)), None)
    if archive is None:
        files = find_idx_files(place, name)
        return {key: _Found(read_idx(file), str(file)) for key, file in files.items()}
    if is_idx(archive):
        raise UserError(
            f"data.path={path} is one IDX file; expected the folder that holds all four: "
            f"data.path={archive.parent}"
        )
    arrays = read_npz(archive, _select_arrays)
    return {key: _Found(array, f"{key} of {archive}") for key, array in arrays.items()}


def _is_file(path: Path) -> bool:
    # Path.is_file raises for paths such as names that are too long.
    return os.path.isfile(path)  # noqa: PTH113


def _select_arrays(names: Sequence[str]) -> Sequence[str]:
    missing = sorted(set(_KEYS) - set(names))
    if missing:
        raise UserError(
            f"data.path: the arrays {', '.join(missing)} are missing; the .npz has "
            f"{', '.join(names) or 'none'}."
        )
    return _KEYS


def _images(found: _Found) -> NDArray[Any]:
    images = found.array
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim == 3 and images.size and images.dtype.kind in "buif":
        return images
    advice = {
        1: " One number per example is a label; check whether the files are swapped.",
        2: " x.reshape(-1, 28, 28) converts flattened images.",
    }.get(images.ndim, "")
    raise UserError(
        f"data.path: {found.place} has the shape {found.array.shape} and the type {images.dtype}; "
        f"expected images, numbers of shape (examples, height, width).{advice}"
    )


def _labels(found: _Found, num_classes: int) -> NDArray[Any]:
    labels = found.array
    # Keras and some converters store labels with the shape [examples, 1].
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    is_whole = labels.ndim == 1 and labels.size and labels.dtype.kind in "iu"
    if is_whole and labels.min() >= 0 and labels.max() < num_classes:
        return labels
    if is_whole:
        given = f"labels from {labels.min()} to {labels.max()}"
    else:
        given = f"the shape {labels.shape} and the type {labels.dtype}"
    advice = ""
    if labels.ndim == 2:
        advice = " y.argmax(axis=1) converts one-hot labels."
    elif labels.dtype.kind in "fUSO":
        advice = " y.astype(int) converts them."
    raise UserError(
        f"data.path: {found.place} has {given}; expected labels from 0 to "
        f"{num_classes - 1}, whole numbers of shape (examples,).{advice}"
    )


def _preparation(images: NDArray[Any], place: str) -> ArrayPreparation:
    """Returns the conversion of pixels to 0 to 1, or raises an error if it is ambiguous."""
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise UserError(f"data.path: {place} has pixels that are NaN or infinite.")
    summary = Summary.of([images])
    # By values, not by dtype: converted copies hold the same bytes as int64 or as floats.
    if summary.least >= 0 and summary.is_whole and 1 < summary.most <= _BRIGHTEST:
        return ArrayPreparation(_BRIGHTEST, summary)
    if summary.least >= 0 and not summary.is_whole and summary.most <= 1:
        return ArrayPreparation(1.0, summary)
    advice = "Convert them and save them as an .npz."
    if summary.is_whole and summary.least >= 0 and summary.most <= 1:
        advice = "255 * x converts images of 0 and 1."
    elif summary.is_whole and _BRIGHTEST < summary.most < 2**16:
        advice = "x // 257 converts 16-bit images."
    raise UserError(
        f"data.path: {place} has pixels of {summary}; expected whole numbers from 0 to 255, or "
        f"fractions from 0 to 1. {advice}"
    )
