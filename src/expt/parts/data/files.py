"""Data sets read from the user's own copies of the published files."""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Augmentation, Dataset, Split, Task
from expt.parts.data.preparation import BYTES
from expt.parts.data.reading import read_npz

_IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_IDX_UNSIGNED_BYTES = 8


@dataclass(frozen=True, kw_only=True)
class MNIST:
    """Handwritten digits: 60,000 train and 10,000 test images of 28x28x1 pixels from 0 to 1.

    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86(11), 1998.

    Attributes:
        path: An `.npz` with x_train, y_train, x_test and y_test, or a folder that holds one or
            the four IDX files, compressed with gzip or not.
        batch_size: Examples a step.
        num_validation: How many of the train images are held out for validation.
        split_seed: Seed of that choice.
        augment: The values of an `Augmentation`.
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
        """Reads the files and holds out the validation split."""
        arrays = _read(Path(os.path.expanduser(self.path)), self.name)  # noqa: PTH111  never raises
        train, test = (
            _split(arrays[f"x_{part}"], arrays[f"y_{part}"], self.path, len(self.class_names))
            for part in ("train", "test")
        )
        if not 0 < self.num_validation < len(train):
            raise UserError(
                f"data.num_validation={self.num_validation}: expected a number from 1 to below "
                f"{len(train)}, the train images in {self.path}."
            )
        order = np.random.default_rng(self.split_seed).permutation(len(train))
        held_out, rest = order[: self.num_validation], order[self.num_validation :]
        return Dataset(
            name=self.name,
            task=self.task,
            train=train.take(rest),
            validation=train.take(held_out),
            test=test,
            batch_size=self.batch_size,
            class_names=self.class_names,
            augmentation=Augmentation.parse(self.augment),
            preparation=BYTES.to_mapping(),
        )


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(MNIST):
    """Pictures of clothes: 60,000 train and 10,000 test images of 28x28x1 pixels from 0 to 1.

    Source: H. Xiao et al., "Fashion-MNIST", arXiv:1708.07747, 2017. The attributes are MNIST's.
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


def _read(path: Path, name: str) -> Mapping[str, NDArray[Any]]:
    if _is_file(path):
        return read_npz(path, _wanted)
    archive = path / f"{name}.npz"
    if _is_file(archive):
        return read_npz(archive, _wanted)
    files = {key: _find_idx(path, file_name) for key, file_name in _IDX_NAMES.items()}
    found = {key: file for key, file in files.items() if file is not None}
    if len(found) == len(files):
        return {key: _read_idx(file) for key, file in found.items()}
    missing = [_IDX_NAMES[key] for key in files if key not in found]
    raise UserError(
        f"data={name}: the files are not at data.path={path}. Put there either {name}.npz (arrays "
        f"x_train, y_train, x_test, y_test) or the IDX files (.gz is fine) of the data set; "
        f"missing of these: {', '.join(missing)}. Or point data.path=… to where they are."
    )


def _find_idx(folder: Path, name: str) -> Path | None:
    # Unpacked copies are often named train-images.idx3-ubyte.
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = (folder / f"{spelling}{end}" for spelling in spellings for end in ("", ".gz"))
    return next((file for file in candidates if _is_file(file)), None)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113  never raises


def _wanted(names: Sequence[str]) -> list[str]:
    missing = sorted(set(_IDX_NAMES) - set(names))
    if missing:
        raise UserError(
            f"data.path: the arrays {', '.join(missing)} are missing; the .npz has "
            f"{', '.join(names) or 'none'}."
        )
    return list(_IDX_NAMES)


def _read_idx(file: Path) -> NDArray[np.uint8]:
    """Reads an IDX file: two zero bytes, the type, the rank, the sizes (big-endian), the data."""
    try:
        content = file.read_bytes()
        content = gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"data.path: {file} can't be read: {error}") from error
    rank = content[3] if len(content) > 3 else 0
    start = 4 + 4 * rank
    is_idx = rank > 0 and content[:3] == bytes((0, 0, _IDX_UNSIGNED_BYTES))
    if is_idx and len(content) >= start:
        shape = struct.unpack(f">{rank}I", content[4:start])
        if len(content) == start + math.prod(shape):
            return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
    raise UserError(f"data.path: {file} is not an IDX file of unsigned bytes, or it is cut off.")


def _split(images: NDArray[Any], labels: NDArray[Any], path: str, num_classes: int) -> Split:
    """Checks the arrays, and scales pixels to 0 to 1."""
    if images.ndim != 3 or not _in_range(images, 256):
        raise UserError(
            f"data.path={path}: images have the shape {images.shape} and the type {images.dtype}; "
            "expected whole numbers from 0 to 255 of shape (examples, height, width)."
        )
    if labels.ndim != 1 or not _in_range(labels, num_classes):
        raise UserError(
            f"data.path={path}: labels have the shape {labels.shape} and the type {labels.dtype}; "
            f"expected class numbers from 0 to {num_classes - 1} of shape (examples,)."
        )
    if len(images) != len(labels):
        raise UserError(
            f"data.path={path}: there are {len(images)} images and {len(labels)} labels; expected "
            "as many of each."
        )
    return Split((images[..., None] / np.float32(255)).astype(np.float32), labels.astype(np.int32))


def _in_range(values: NDArray[Any], below: int) -> bool:
    is_whole = np.issubdtype(values.dtype, np.integer)
    return bool(is_whole and values.size and values.min() >= 0 and values.max() < below)
