"""A stream of inputs from image files."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import RunError
from expt.parts.data.image_decoding import UnusableError
from expt.parts.data.image_preparation import ImagePreparation

Names = NDArray[np.bytes_]
"""Paths as bytes: file names need not be valid UTF-8, and bytes take less memory than texts."""


@dataclass(frozen=True)
class ImageFiles:
    """A stream of image files as pixels from 0 to 1, shape [files, height, width, channels].

    Attributes:
        folder: The folder of the files.
        names: Paths of all files relative to the folder; shared by the splits.
        indices: Indices of this stream's files in `names`.
        preparation: The conversion of files to inputs.
        digest: A hash of all names and contents.
        is_native: Whether `tf.io.decode_jpeg`, which also decodes PNG, returns exactly the pixels
            of `read`, given `channels=channels` and `dct_method="INTEGER_ACCURATE"`.
        pixel_keys: Hashes of the pixels of all names, shape [names, 2]; None if unknown.
    """

    folder: str
    names: Names
    indices: NDArray[np.intp]
    preparation: ImagePreparation
    digest: str
    is_native: bool
    pixel_keys: NDArray[np.uint64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of inputs, followed by the shape of one input."""
        form = self.preparation
        return (len(self.indices), form.height, form.width, form.channels)

    @property
    def fingerprint(self) -> str:
        """A hash of the contents of all files and of their preparation."""
        text = f"{self.digest} {self.shape}"
        # Left out if None, so that fingerprints of runs from before this option stay valid.
        if self.preparation.background is not None:
            text += f" {self.preparation.background}"
        digest = hashlib.blake2b(text.encode(), digest_size=16)
        digest.update(self.indices.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def keys(self) -> NDArray[np.uint64] | None:
        """Hashes of the files' pixels, shape [files, 2]; equal images have equal hashes."""
        return None if self.pixel_keys is None else self.pixel_keys[self.indices]

    def take(self, indices: NDArray[np.integer[Any]]) -> "ImageFiles":
        """Returns a stream of the files at `indices`, in that order."""
        return replace(self, indices=self.indices[indices])

    def files(self, indices: NDArray[np.integer[Any]]) -> Names:
        """Returns the paths of the files at `indices`, as bytes."""
        prefix = np.bytes_(os.fsencode(self.folder) + b"/")
        return np.strings.add(prefix, self.names[self.indices[indices]])

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Decodes the files at `indices`, shape [indices, height, width, channels].

        Raises:
            RunError: If a file can no longer be read or decoded.
        """
        # A RunError, not a UserError: all files were usable when the data was loaded.
        # One array for the batch, divided in place: no second copy of its pixels.
        pixels = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, name in enumerate(self.files(indices).tolist()):
            file = Path(os.fsdecode(name))
            try:
                pixels[row] = self.preparation.pixels(file.read_bytes())
            except (OSError, UnusableError) as error:
                raise RunError(
                    f"{file} was usable when the data was loaded, but no longer is: {error}"
                ) from error
        pixels /= self.preparation.divisor
        return pixels
