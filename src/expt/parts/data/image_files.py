"""Image files as inputs: the stream of them."""

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
"""Paths, as the file system has them."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files as inputs: pixels from 0 to 1, shape [files, height, width, channels].

    Attributes:
        folder: Where the files are.
        names: Their paths from there; splits share them.
        indices: Which of the names are meant, in order.
        preparation: How each file becomes an input.
        digest: A hash of all names and contents.
        pixel_keys: Of each name, a hash of the file's pixels, shape [names, 2]; None if unknown.
        is_native: Whether `tf.io.decode_jpeg`, which takes PNG too, gives the very pixels that
            `read` does, with `channels=channels` and `dct_method="INTEGER_ACCURATE"`.
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
        """The number of inputs, then the shape of one."""
        form = self.preparation
        return (len(self.indices), form.height, form.width, form.channels)

    @property
    def fingerprint(self) -> str:
        """A hash of the content of all files, and of what is made of them."""
        made_of_them = f"{self.digest} {self.shape}"
        if self.preparation.background is not None:
            made_of_them += f" {self.preparation.background}"
        digest = hashlib.blake2b(made_of_them.encode(), digest_size=16)
        digest.update(self.indices.astype("<i8").tobytes())
        return digest.hexdigest()

    @property
    def keys(self) -> NDArray[np.uint64] | None:
        """A hash of each file's pixels, shape [files, 2]: equal images have equal ones."""
        return None if self.pixel_keys is None else self.pixel_keys[self.indices]

    def take(self, indices: NDArray[np.integer[Any]]) -> "ImageFiles":
        """Returns the stream of some of the files."""
        return replace(self, indices=self.indices[indices])

    def files(self, indices: NDArray[np.integer[Any]]) -> Names:
        """Returns the paths of some files, as bytes."""
        prefix = np.bytes_(os.fsencode(self.folder) + b"/")
        return np.strings.add(prefix, self.names[self.indices[indices]])

    def read(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """Decodes some files, shape [indices, height, width, channels].

        Raises:
            RunError: A file is not what it was when the data was loaded.
        """
        pixels = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, name in enumerate(self.files(indices).tolist()):
            file = Path(os.fsdecode(name))
            try:
                pixels[row] = self.preparation.pixels(file.read_bytes())
            except (OSError, UnusableError) as error:
                raise RunError(
                    f"{file} was fine when the data was loaded and is not any more: {error}"
                ) from error
        pixels /= self.preparation.divisor
        return pixels
