"""Decoding of image files to upright, opaque images of 8 bits a channel."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

EXTENSIONS = (
    *(".bmp", ".gif", ".jfif", ".jpeg", ".jpg"),
    *(".png", ".tif", ".tiff", ".webp"),
)
"""Endings of the files that are read, whatever their case; their content decides the format."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_GRAY_MODES = ("1", "L", "LA")
_COLOR_MODES = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK")
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_PNG_GRAY_ALPHA = 4
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
_WHITE_IS_ZERO = 0
# Sensors of up to 12 bits are often stored in 16 without scaling: such images look all but black.
_DARK = 2**12
# What Pillow raises for files that are damaged in one way or another.
_DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, AttributeError),
    *(OverflowError, MemoryError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


class UnusableError(Exception):
    """A file that is no image of the form that is expected.

    Attributes:
        fault: What is wrong, such as "it is empty".
        remedy: The option of the data source that would let it be used; empty if there is none.
    """

    def __init__(self, fault: str, remedy: str = "") -> None:
        """Makes an error of a fault and, if there is one, its remedy."""
        super().__init__(f"{fault}; {remedy}." if remedy else f"{fault}.")
        self.fault, self.remedy = fault, remedy


@dataclass(frozen=True)
class DecodedImage:
    """An upright, opaque image of 8 bits a channel.

    Attributes:
        image: Its mode is L, for gray, or RGB.
        is_plain: Whether `tf.io.decode_jpeg`, which takes PNG too, returns the same pixels, with
            as many channels or more.
    """

    image: Image.Image
    is_plain: bool

    @property
    def channels(self) -> int:
        """1 for a gray image and 3 for one in colours."""
        return 1 if self.image.mode == "L" else 3


@contextmanager
def pillow_warnings() -> Iterator[None]:
    """Hides Pillow's warnings of what does no harm, such as damaged metadata.

    Images so large that they may be an attack are errors; Pillow only warns of the smaller of them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_image(content: bytes, background: Color | None) -> DecodedImage:
    """Decodes the content of an image file to what a viewer shows.

    Images are turned as their orientation in EXIF says. Those of 16 bits a channel become the
    upper 8, as TensorFlow's and Pillow's decoders make of colours. Colour profiles are ignored.

    Args:
        content: Of the file.
        background: What is behind transparent pixels; None refuses them.

    Raises:
        UnusableError: The content is no image of the formats that are read, is damaged, or of a
            kind whose pixels are not certain.
    """
    image = _load(content)
    depth = _depth(image, content)
    orientation = _orientation(image)
    is_plain = image.format in ("JPEG", "PNG") and image.mode != "CMYK" and depth <= 8
    is_plain = is_plain and orientation == 1 and "transparency" not in image.info
    try:
        opaque, is_composed = _opaque(_with_8_bits(image, content, depth), background)
    except _DECODING_ERRORS as error:
        raise UnusableError(f"it can't be decoded ({error})") from error
    if orientation != 1:
        opaque = opaque.transpose(_TURNS[orientation])
    return DecodedImage(opaque, is_plain and not is_composed)


def _load(content: bytes) -> Image.Image:
    """Decodes an image as it is.

    A decoder that stops at the last pixel does not see that the end is missing, and TensorFlow's
    refuses such a file; hence the checks of PNG.
    """
    if not content:
        raise UnusableError("it is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        if image.format == "PNG":
            if content.rfind(_PNG_END) < 0:
                raise UnusableError("it is cut off")
            Image.open(io.BytesIO(content), formats=("PNG",)).verify()
        if image.format in ("TIFF", "WEBP") and (count := getattr(image, "n_frames", 1)) > 1:
            raise UnusableError(f"it holds {count} images; a file of one is expected")
        image.load()
    except UnidentifiedImageError as error:
        raise UnusableError(
            "it is no BMP, GIF, JPEG, PNG, TIFF or WEBP file, or damaged, or of a kind that can't "
            "be read"
        ) from error
    except _DECODING_ERRORS as error:
        raise UnusableError(f"it can't be decoded ({error})") from error
    return image


def _orientation(image: Image.Image) -> int:
    """Returns the orientation in the metadata; 1, upright, if there is none that makes sense."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _depth(image: Image.Image, content: bytes) -> int:
    """Returns the bits a channel.

    Raises:
        UnusableError: It is not certain which values are black and white.
    """
    if image.mode not in (*_GRAY_MODES, *_COLOR_MODES) and not image.mode.startswith("I;16"):
        kinds = {"I": "whole numbers of 32 bits", "F": "fractions", "LAB": "the colour space LAB"}
        kind = kinds.get(image.mode, f"the mode {image.mode}")
        raise UnusableError(f"its pixels are {kind}; gray or RGB of 8 or 16 bits are expected")
    if image.format == "PNG":
        return content[24]
    if image.format != "TIFF":
        return 8
    tags = getattr(image, "tag_v2", {})
    bits, formats = {*tags.get(_BITS, (1,))}, {*tags.get(_SAMPLE_FORMAT, (1,))}
    if len(bits) > 1 or not bits <= {1, 2, 4, 8, 16} or formats != {1}:
        sign = "" if formats == {1} else ", signed or fractions"
        raise UnusableError(
            f"its channels have {', '.join(map(str, sorted(bits)))} bits{sign}; 8 or 16 bits "
            "without sign are expected"
        )
    (depth,) = bits
    if depth == 16 and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise UnusableError("its 16-bit values are inverted, white is 0; black is expected to be")
    return int(depth)


def _with_8_bits(image: Image.Image, content: bytes, depth: int) -> Image.Image:
    """Returns an image of 8 bits a channel; it may have a key of transparency in its `info`."""
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.max() < _DARK and (values % 257).any():
            raise _too_dark(int(values.max()))
        reduced = Image.fromarray((values >> 8).astype(np.uint8))
        if key is not None:
            alpha = np.where(values == key, 0, 255).astype(np.uint8)
            reduced = Image.merge("LA", (reduced, Image.fromarray(alpha)))
        return reduced
    if depth == 16:
        if key is not None:
            raise UnusableError("it has 16 bits a channel and a transparent colour")
        is_gray = image.format == "PNG" and content[25] == _PNG_GRAY_ALPHA
        values = np.asarray(image)[..., :3]
        if values.max() < _DARK >> 8:
            raise _too_dark(int(values.max()) * 256 + 255)
        return image.convert("LA") if is_gray else image
    if image.format == "PNG" and image.mode == "L" and depth < 8 and key is not None:
        image.info["transparency"] = key * (255 // (2**depth - 1))  # as Pillow did the pixels
    return image


def _too_dark(most: int) -> UnusableError:
    return UnusableError(
        f"its values, of 16 bits, are at most {most} of 65535, so that it is not certain which "
        "value is white; an image scaled to the whole range, or of 8 bits, is expected"
    )


def _opaque(image: Image.Image, background: Color | None) -> tuple[Image.Image, bool]:
    """Returns an image on its background, as L or RGB, and whether there was any transparency."""
    is_gray = image.mode in _GRAY_MODES
    if not image.has_transparency_data:
        return _as_gray_or_colors(image, is_gray=is_gray), False
    layers = image.convert("RGBA")
    alpha = layers.getchannel("A")
    if np.asarray(alpha).min() == 255:
        return _as_gray_or_colors(layers.convert("RGB"), is_gray=is_gray), False
    if background is None:
        raise UnusableError(
            "it has transparent pixels",
            "data.background=white, black or [red,green,blue] states what is behind them",
        )
    composed = Image.new("RGB", image.size, background)
    composed.paste(layers.convert("RGB"), mask=alpha)
    return _as_gray_or_colors(composed, is_gray=is_gray and len({*background}) == 1), True


def _as_gray_or_colors(image: Image.Image, *, is_gray: bool) -> Image.Image:
    """Converts an image to L if it is gray, or else to RGB."""
    mode = "L" if is_gray else "RGB"
    return image if image.mode == mode else image.convert(mode)
