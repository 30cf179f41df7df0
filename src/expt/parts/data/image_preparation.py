"""The conversion of image files to model inputs.

A run records it as `data.preparation`, so that evaluation and prediction convert files as training
did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from expt.errors import UserError
from expt.parts.data.image_decoding import Color, UnusableError, decode_image
from expt.parts.numbers import is_count

_COLORS: Mapping[str, Color] = {"black": (0, 0, 0), "white": (255, 255, 255)}


@dataclass(frozen=True)
class Decoded:
    """An image of the expected form; for `is_native`, see `ImageFiles`."""

    image: Image.Image
    is_native: bool


@dataclass(frozen=True)
class ImagePreparation:
    """The form of all inputs, and the conversions that files may need.

    Attributes:
        height: The height in pixels.
        width: The width in pixels.
        channels: 1 for gray, 3 for red, green and blue.
        can_resize: Whether images of another size are resized; otherwise they are refused.
        can_recolour: Whether gray images are converted to RGB and the reverse; otherwise they are
            refused.
        background: The color behind transparent pixels; None refuses images that have any.
        divisor: The pixel value that becomes 1.
    """

    height: int
    width: int
    channels: int
    can_resize: bool
    can_recolour: bool = True
    background: Color | None = None
    divisor: ClassVar[int] = 255

    def to_mapping(self) -> dict[str, Any]:
        """Returns the preparation in JSON-compatible values."""
        background = None if self.background is None else list(self.background)
        values = {**asdict(self), "background": background}
        return {"kind": "image", "divisor": float(self.divisor), **values}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "ImagePreparation":
        """Restores a preparation from the mapping that `to_mapping` returned.

        Raises:
            UserError: If the mapping is damaged.
        """
        # Every value is checked: run.json may have been edited, or be another version's.
        numbers = ("height", "width", "channels")
        flags = ("can_resize", "can_recolour")
        background = mapping.get("background")
        is_right = (
            all(is_count(mapping.get(key)) for key in numbers)
            and mapping["channels"] in (1, 3)
            and all(isinstance(mapping.get(key), bool) for key in flags)
            and (background is None or _is_color(background))
            and mapping.get("divisor") == cls.divisor
        )
        if not is_right:
            raise UserError(
                f"run.json is damaged: its data.preparation is {dict(mapping)}; expected that of "
                "images."
            )
        values = {key: mapping[key] for key in (*numbers, *flags)}
        return cls(**values, background=parse_background(background))

    def decode(self, content: bytes) -> Decoded:
        """Decodes the content of a file and converts the image.

        Raises:
            UnusableError: If the content can't be decoded, or has another form that must not be
                converted.
        """
        decoded = decode_image(content, self.background)
        image, size = decoded.image, (self.width, self.height)
        if decoded.channels != self.channels and not self.can_recolour:
            kinds = {1: "gray", 3: "colored"}
            raise UnusableError(
                f"it has {kinds[decoded.channels]} pixels, but {kinds[self.channels]} ones are "
                "expected",
                "data.channels=1 or data.channels=3 converts all",
            )
        if image.size != size and not self.can_resize:
            raise UnusableError(
                f"it has {image.height}x{image.width} pixels, but {self.height}x{self.width} are "
                "expected",
                f"data.image_size=[{self.height},{self.width}] resizes all",
            )
        # TensorFlow's conversion of colors to gray and its resizing differ from Pillow's.
        is_native = decoded.is_plain and decoded.channels <= self.channels and image.size == size
        converted = image.convert("L" if self.channels == 1 else "RGB")
        if image.size != size:
            converted = converted.resize(size, Image.Resampling.BILINEAR)
        return Decoded(converted, is_native)

    def pixels(self, content: bytes) -> NDArray[np.uint8]:
        """Decodes the content of a file to pixels from 0 to 255, shape [height, width, channels].

        Inputs are these pixels divided by `divisor`.

        Raises:
            UnusableError: As `decode`.
        """
        image = np.asarray(self.decode(content).image, np.uint8)
        return image.reshape(self.height, self.width, self.channels)


def parse_background(value: object) -> Color | None:
    """Parses the value of `data.background`.

    Raises:
        UserError: If the value is not a color.
    """
    if value is None:
        return None
    if isinstance(value, str) and value in _COLORS:
        return _COLORS[value]
    if _is_color(value):
        red, green, blue = value
        return red, green, blue
    raise UserError(
        f"data.background={value}: expected white, black, [red,green,blue] with levels from 0 to "
        "255, or null."
    )


def _is_color(value: object) -> TypeGuard[Color]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        return False
    # type(…) is int, since True is an int as well.
    return all(type(level) is int and 0 <= level <= 255 for level in value)
