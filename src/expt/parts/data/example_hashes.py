"""Hashes of the examples of a run, to recognize them in other data."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split
from expt.parts.data.duplicates import common_dtype, keys_of, read_keys
from expt.parts.data.image_files import ImageFiles
from expt.parts.data.mapped import MappedInputs
from expt.parts.data.reading import UNREADABLE

FILE_NAME = "examples.npz"
Kind = Literal["float32", "float64", "pixels"]
_IMAGES_AT_ONCE = 256
_BRIGHTEST = 255.0


@dataclass(frozen=True)
class ExampleHashes:
    """Hashes of the inputs of all examples of a run.

    Inputs are hashed in the form that the model receives, whatever file they come from. Targets and
    weights are not hashed: correcting a label does not make a training example a test example.
    Inputs that are written with fewer digits, or images that are compressed again, are different
    inputs.

    Hashes have 64 bits: a new example collides with one of a million by chance with a probability
    of about 10^6 / 2^64, which is 5·10^-14.

    Attributes:
        kind: The dtype in which inputs were hashed, or `pixels` for the 8-bit pixels of image
            files.
        by_split: Sorted, unique hashes by the names of the splits, train, val and test.
    """

    kind: Kind
    by_split: Mapping[str, NDArray[np.uint64]]

    @classmethod
    def of(cls, dataset: Dataset) -> Self | None:
        """Hashes the examples of a data set; returns None for custom streams."""
        inputs, dtype, hashes = dataset.train.inputs, common_dtype(dataset), {}
        if not isinstance(inputs, np.ndarray | MappedInputs | ImageFiles):
            return None
        for name, split in dataset.splits():
            keys = keys_of(split, dtype)
            if keys is None:
                return None
            hashes[name] = np.unique(_as_one_word(keys))
        kind: Any = "pixels" if isinstance(inputs, ImageFiles) else dtype.name
        return cls(kind, hashes)

    @classmethod
    def read(cls, folder: Path, kind: Kind) -> Self:
        """Reads the hashes from a run's directory.

        Args:
            folder: The run's directory.
            kind: The kind in run.json.

        Raises:
            UserError: If the file is missing or damaged.
        """
        file = folder / FILE_NAME
        try:
            # Not numpy.load, which leaves a damaged file open.
            with file.open("rb") as stream, NpzFile(stream, allow_pickle=False) as archive:
                hashes = {name: archive[name] for name in ("train", "val", "test")}
            if any(one.dtype != np.uint64 or one.ndim != 1 for one in hashes.values()):
                raise ValueError("its arrays are not lists of hashes")
        except (*UNREADABLE, KeyError, AttributeError) as error:
            raise UserError(
                f"{file} can't be read: {error}. It records the examples that the run was trained "
                "on; restore the file from a copy."
            ) from error
        return cls(kind, {name: np.sort(one) for name, one in hashes.items()})

    def write(self, folder: Path) -> None:
        """Writes the hashes into a run's directory, atomically."""
        # `runs/atomic.py` does the same, but parts import nothing from the layers above.
        partial = folder / f"partial-{FILE_NAME}"
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **self.by_split)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        partial.replace(folder / FILE_NAME)

    def find(self, split: Split) -> dict[str, NDArray[np.bool_]]:
        """Finds the examples whose inputs occur in the run's splits.

        Returns:
            Masks of shape [examples] by the names of the run's splits.
        """
        hashes = _as_one_word(self._keys(split))
        return {name: np.isin(hashes, known) for name, known in self.by_split.items()}

    def _keys(self, split: Split) -> NDArray[np.uint64]:
        inputs = split.inputs
        if self.kind == "pixels":
            known = inputs.keys if isinstance(inputs, ImageFiles) else None
            return _pixel_keys(split) if known is None else known
        dtype = np.dtype(self.kind)
        known = keys_of(split, dtype) if isinstance(inputs, np.ndarray | MappedInputs) else None
        return read_keys(split, dtype) if known is None else known


def _as_one_word(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Folds hashes of 128 bits, shape [examples, 2], to 64 bits, shape [examples]."""
    # The second word is rotated, so that equal words don't cancel each other.
    half = np.uint64(32)
    return keys[:, 0] ^ (keys[:, 1] << half | keys[:, 1] >> half)


def _pixel_keys(split: Split) -> NDArray[np.uint64]:
    """Returns the hashes that image files with these pixels have, as in `ImageFiles.keys`."""
    digests = []
    for start in range(0, len(split), _IMAGES_AT_ONCE):
        inputs = split.read(np.arange(start, min(start + _IMAGES_AT_ONCE, len(split))))
        # Back from 0 to 1 to the 8-bit pixels of files, which are rounded by the division.
        pixels = np.rint(np.clip(inputs, 0, 1) * _BRIGHTEST).astype(np.uint8)
        digests += [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
