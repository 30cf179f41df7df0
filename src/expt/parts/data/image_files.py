"""Image files as inputs: how they are decoded, and the stream of them."""

import hashlib
import io
import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from expt.errors import RunError

Names = NDArray[np.bytes_]
"""Paths, as the file system has them."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG")
_GRAY_MODES = ("1", "L", "LA")
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
# What Pillow raises for files that are damaged in one way or another.
_DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, AttributeError),
    *(OverflowError, MemoryError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


@dataclass(frozen=True)
class ImageFiles:
    """Image files as inputs: pixels from 0 to 1, shape [files, height, width, channels].

    Attributes:
        folder: Where the files are.
        names: Their paths from there; splits share them.
        indices: Which of the names are meant, in order.
        height: Of each image, in pixels.
        width: Of each image, in pixels.
        channels: 1 for gray or 3 for red, green and blue.
        digest: A hash of all names and contents.
        needs_resizing: Whether `read` resizes what has another size.
        is_native: Whether `tf.io.decode_jpeg`, which takes PNG too, gives the very pixels that
            `read` does, with `channels=channels` and `dct_method="INTEGER_ACCURATE"`.
    """

    folder: str
    names: Names
    indices: NDArray[np.intp]
    height: int
    width: int
    channels: int
    digest: str
    needs_resizing: bool
    is_native: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of files, then the shape of an image."""
        return (len(self.indices), self.height, self.width, self.channels)

    @property
    def fingerprint(self) -> str:
        """A hash of the content of all files, and of what is made of them."""
        digest = hashlib.blake2b(f"{self.digest} {self.shape}".encode(), digest_size=16)
        digest.update(self.indices.astype("<i8").tobytes())
        return digest.hexdigest()

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
        form = Form(self.height, self.width, self.channels, can_resize=self.needs_resizing)
        pixels = np.empty((len(indices), *self.shape[1:]), np.float32)
        for row, name in enumerate(self.files(indices).tolist()):
            file = Path(os.fsdecode(name))
            try:
                image = form.decode(file.read_bytes()).image
            except (OSError, UnusableError) as error:
                raise RunError(
                    f"{file} was fine when the data was loaded and is not any more: {error}"
                ) from error
            pixels[row] = np.asarray(image).reshape(pixels.shape[1:])
        pixels /= 255
        return pixels


class UnusableError(Exception):
    """A file that is no image of the form that is expected; says why."""


@dataclass(frozen=True)
class Decoded:
    """An image of the wanted form, whether it was resized, and see `ImageFiles.is_native`."""

    image: Image.Image
    was_resized: bool
    is_native: bool


@dataclass(frozen=True)
class Form:
    """What all images are brought to, and which files may differ from it."""

    height: int
    width: int
    channels: int
    can_resize: bool
    can_recolour: bool = True

    def decode(self, content: bytes) -> Decoded:
        """Decodes the content of a file.

        Raises:
            UnusableError: It can't be decoded, or has another form.
        """
        image = open_image(content)
        channels, size = channels_of(image), (self.width, self.height)
        if channels != self.channels and not self.can_recolour:
            kinds = {1: "gray", 3: "in colours"}
            raise UnusableError(
                f"it is {kinds[channels]} and the first file {kinds[self.channels]}; "
                "data.channels=1 or data.channels=3 converts all."
            )
        if image.size != size and not self.can_resize:
            raise UnusableError(
                f"it has {image.height}x{image.width} pixels and the first file "
                f"{self.height}x{self.width}; data.image_size=[{self.height},{self.width}] "
                "resizes all."
            )
        is_native = image.format in ("JPEG", "PNG") and image.mode != "CMYK"
        is_native = is_native and channels <= self.channels and image.size == size
        converted = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != size:
            converted = converted.resize(size, Image.Resampling.BILINEAR)
        return Decoded(converted, image.size != size, is_native)


def open_image(content: bytes) -> Image.Image:
    """Decodes an image as it is.

    A decoder that stops at the last pixel does not see that the end is missing, and TensorFlow's
    refuses such a file; hence the checks of PNG.

    Raises:
        UnusableError: The content is no image of the formats that are read, or damaged.
    """
    if not content:
        raise UnusableError("it is empty.")
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        if image.format == "PNG":
            if content[24] == 16:
                raise UnusableError("it has 16 bits a channel; images of 8 are read.")
            if content.rfind(_PNG_END) < 0:
                raise UnusableError("it is cut off.")
            Image.open(io.BytesIO(content), formats=("PNG",)).verify()
        image.load()
    except UnidentifiedImageError as error:
        raise UnusableError("it is no BMP, GIF, JPEG or PNG file, or damaged.") from error
    except _DECODING_ERRORS as error:
        raise UnusableError(f"it can't be decoded ({error}).") from error
    image.info.pop("transparency", None)  # Pillow would warn of dropping it
    return image


def channels_of(image: Image.Image) -> int:
    """Returns 1 for a gray image and 3 for one in colours."""
    return 1 if image.mode in _GRAY_MODES else 3
