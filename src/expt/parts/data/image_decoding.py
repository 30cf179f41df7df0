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
"""Endings of the files that are read, in lower case; the format is detected by content."""

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
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_WHITE_IS_ZERO = 0
# Values of 12-bit sensors are often stored in 16 bits without scaling; the images look black.
_DARK = 2**12
# The exceptions that Pillow is known to raise for damaged files; it documents none.
_DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, AttributeError),
    *(OverflowError, MemoryError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


class UnusableError(Exception):
    """The error for a file that is not an image of the expected form.

    It is not a `UserError`: sources may skip such files.

    Attributes:
        fault: The problem, as a sentence without its full stop, such as "it is empty".
        remedy: The option of the data source that makes the file usable; empty if there is none.
    """

    def __init__(self, fault: str, remedy: str = "") -> None:
        """Initializes the error with a fault and an optional remedy."""
        super().__init__(f"{fault}; {remedy}." if remedy else f"{fault}.")
        self.fault, self.remedy = fault, remedy


@dataclass(frozen=True)
class DecodedImage:
    """An upright, opaque image with 8 bits per channel.

    Attributes:
        image: The image, of mode L (gray) or RGB.
        is_plain: Whether `tf.io.decode_jpeg`, which also decodes PNG, returns the same pixels when
            called with at least as many channels.
    """

    image: Image.Image
    is_plain: bool

    @property
    def channels(self) -> int:
        """The number of channels: 1 for gray, 3 for RGB."""
        return 1 if self.image.mode == "L" else 3


@contextmanager
def pillow_warnings() -> Iterator[None]:
    """Hides Pillow's harmless warnings, such as those about damaged metadata.

    Images that may be decompression bombs raise an error. By default, Pillow only warns about the
    smaller ones.
    """
    # Around all threads at once: warning filters are global, so threads can't set them one by one.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_image(content: bytes, background: Color | None) -> DecodedImage:
    """Decodes the content of an image file as a viewer shows it.

    Images are rotated by their EXIF orientation. Channels of 16 bits are reduced to the upper 8, as
    TensorFlow's and Pillow's decoders do for colors. Color profiles are ignored.

    Args:
        content: The bytes of the file.
        background: The color behind transparent pixels; None refuses such images.

    Raises:
        UnusableError: If the content is damaged, has another format, or its pixels are ambiguous.
    """
    image = _load(content)
    depth = _find_depth(image, content)
    orientation = _read_orientation(image)
    is_plain = image.format in ("JPEG", "PNG") and image.mode != "CMYK" and depth <= 8
    is_plain = is_plain and orientation == 1 and "transparency" not in image.info
    try:
        opaque, is_composed = _remove_transparency(
            _reduce_to_8_bits(image, content, depth), background
        )
    except _DECODING_ERRORS as error:
        raise UnusableError(f"it can't be decoded ({error})") from error
    if orientation != 1:
        opaque = opaque.transpose(_TURNS[orientation])
    return DecodedImage(opaque, is_plain and not is_composed)


def _load(content: bytes) -> Image.Image:
    """Decodes an image without converting it.

    Raises:
        UnusableError: If the content is not a supported, undamaged image.
    """
    if not content:
        raise UnusableError("it is empty")
    try:
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        # Pillow stops at the last pixel and ignores a missing end, but TensorFlow's decoder, which
        # may be used in training, refuses such files.
        if image.format == "PNG":
            if content.rfind(_PNG_END) < 0:
                raise UnusableError("it is cut off")
            Image.open(io.BytesIO(content), formats=("PNG",)).verify()
        if image.format in ("TIFF", "WEBP") and (count := getattr(image, "n_frames", 1)) > 1:
            raise UnusableError(f"it holds {count} images; expected one")
        image.load()
    except UnidentifiedImageError as error:
        raise UnusableError(
            "it is not a BMP, GIF, JPEG, PNG, TIFF or WEBP file, or it is damaged or of an "
            "unsupported kind"
        ) from error
    except _DECODING_ERRORS as error:
        raise UnusableError(f"it can't be decoded ({error})") from error
    return image


def _read_orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation; 1 (upright) if it is missing or invalid."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DECODING_ERRORS:
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _find_depth(image: Image.Image, content: bytes) -> int:
    """Returns the number of bits per channel.

    Raises:
        UnusableError: If it is ambiguous which values are black and white.
    """
    if image.mode not in (*_GRAY_MODES, *_COLOR_MODES) and not image.mode.startswith("I;16"):
        kinds = {"I": "whole numbers of 32 bits", "F": "fractions", "LAB": "the color space LAB"}
        kind = kinds.get(image.mode, f"the mode {image.mode}")
        raise UnusableError(f"its pixels are {kind}; expected gray or RGB of 8 or 16 bits")
    # Pillow's mode hides the depth: it reads 16-bit RGB as 8 bits, and 2 bits as 8.
    if image.format == "PNG":
        return content[24]
    if image.format != "TIFF":
        return 8
    tags = getattr(image, "tag_v2", {})
    bits, formats = {*tags.get(_BITS, (1,))}, {*tags.get(_SAMPLE_FORMAT, (1,))}
    if len(bits) > 1 or not bits <= {1, 2, 4, 8, 16} or formats != {1}:
        sign = "" if formats == {1} else ", signed or fractions"
        raise UnusableError(
            f"its channels have {', '.join(map(str, sorted(bits)))} bits{sign}; expected 8 or 16 "
            "bits without sign"
        )
    (depth,) = bits
    if depth == 16 and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise UnusableError("its 16-bit values are inverted, white is 0; expected black to be 0")
    return int(depth)


def _reduce_to_8_bits(image: Image.Image, content: bytes, depth: int) -> Image.Image:
    """Reduces an image to 8 bits per channel; its `info` may hold a transparent color.

    Raises:
        UnusableError: If a 16-bit image is almost black, or has a transparent color that the
            reduced pixels can't represent.
    """
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        # Multiples of 257 are 8-bit values scaled to 16 bits, which may be as dark as they like.
        if values.max() < _DARK and (values % 257).any():
            raise _too_dark(int(values.max()))
        reduced = Image.fromarray((values >> 8).astype(np.uint8))
        if key is not None:
            alpha = np.where(values == key, 0, 255).astype(np.uint8)
            reduced = Image.merge("LA", (reduced, Image.fromarray(alpha)))
        return reduced
    if depth == 16:
        if key is not None:
            raise UnusableError("it has 16 bits a channel and a transparent color")
        is_gray = image.format == "PNG" and content[25] == _PNG_GRAY_ALPHA
        values = np.asarray(image)[..., :3]
        if values.max() < _DARK >> 8:
            raise _too_dark(int(values.max()) * 256 + 255)
        return image.convert("LA") if is_gray else image
    if image.format == "PNG" and image.mode == "L" and depth < 8 and key is not None:
        # Pillow scales the pixels of such an image to 8 bits, but not its transparent color.
        image.info["transparency"] = key * (255 // (2**depth - 1))
    return image


def _too_dark(most: int) -> UnusableError:
    return UnusableError(
        f"its 16-bit values are at most {most} of 65535, so that it is ambiguous which value is "
        "white; expected an image scaled to the whole range, or of 8 bits"
    )


def _remove_transparency(image: Image.Image, background: Color | None) -> tuple[Image.Image, bool]:
    """Returns an image on its background, as L or RGB, and whether any pixel was transparent."""
    is_gray = image.mode in _GRAY_MODES
    if not image.has_transparency_data:
        return _as_gray_or_colors(image, is_gray=is_gray), False
    layers = image.convert("RGBA")
    alpha = layers.getchannel("A")
    # Many files have an alpha channel that is opaque throughout: they need no background.
    if np.asarray(alpha).min() == 255:
        return _as_gray_or_colors(layers.convert("RGB"), is_gray=is_gray), False
    if background is None:
        raise UnusableError(
            "it has transparent pixels",
            "data.background=white, black or [red,green,blue] sets the color behind them",
        )
    composed = Image.new("RGB", image.size, background)
    composed.paste(layers.convert("RGB"), mask=alpha)
    return _as_gray_or_colors(composed, is_gray=is_gray and len({*background}) == 1), True


def _as_gray_or_colors(image: Image.Image, *, is_gray: bool) -> Image.Image:
    """Converts an image to mode L if it is gray, else to RGB."""
    mode = "L" if is_gray else "RGB"
    return image if image.mode == mode else image.convert(mode)
