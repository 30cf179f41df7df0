"""Hashes by which the examples that a run was trained on are recognized in other data."""

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
    """A hash of the inputs of each example that a run has seen.

    Inputs are hashed as the model takes them, whatever file they came from. Targets and weights
    are not in the hash: an example that was trained on is no test of the model once its label has
    been corrected, or its target written with fewer digits. Inputs that were written with fewer
    digits, or images compressed anew, are other inputs.

    Hashes have 64 bits: among a million examples, one in about 10^7 million others has the hash of
    one of them by chance.

    Attributes:
        kind: The type in which inputs were hashed; `pixels` are those of image files, 8 bits each.
        by_split: Sorted hashes by the names of splits, train, val and test; equal inputs have one.
    """

    kind: Kind
    by_split: Mapping[str, NDArray[np.uint64]]

    @classmethod
    def of(cls, dataset: Dataset) -> Self | None:
        """Returns the hashes of a data set's examples; None for a stream of the user's own."""
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
        """Reads the hashes that a run keeps.

        Args:
            folder: The run's directory.
            kind: As run.json says.

        Raises:
            UserError: The file is missing or damaged.
        """
        file = folder / FILE_NAME
        try:
            # As numpy.load does, which leaves a damaged file open.
            with file.open("rb") as stream, NpzFile(stream, allow_pickle=False) as archive:
                hashes = {name: archive[name] for name in ("train", "val", "test")}
            if any(one.dtype != np.uint64 or one.ndim != 1 for one in hashes.values()):
                raise ValueError("its arrays are no lists of hashes")
        except (*UNREADABLE, KeyError, AttributeError) as error:
            raise UserError(
                f"{file} can't be read: {error}. It says what the run was trained on; put a copy "
                "of the file in its place."
            ) from error
        return cls(kind, {name: np.sort(one) for name, one in hashes.items()})

    def write(self, folder: Path) -> None:
        """Writes the hashes into a run's directory, whole or not at all."""
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
        """Returns which examples have the inputs of one in each of the run's splits, by name."""
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
    """Returns hashes of 128 bits, shape [examples, 2], as 64 bits, shape [examples]."""
    half = np.uint64(32)
    return keys[:, 0] ^ (keys[:, 1] << half | keys[:, 1] >> half)


def _pixel_keys(split: Split) -> NDArray[np.uint64]:
    """Returns the hashes that image files with these pixels would have, as `ImageFiles.keys`."""
    digests = []
    for start in range(0, len(split), _IMAGES_AT_ONCE):
        inputs = split.read(np.arange(start, min(start + _IMAGES_AT_ONCE, len(split))))
        pixels = np.rint(np.clip(inputs, 0, 1) * _BRIGHTEST).astype(np.uint8)
        digests += [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]
    return np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
