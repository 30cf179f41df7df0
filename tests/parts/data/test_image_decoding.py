import struct
import warnings
from contextlib import nullcontext, suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from PIL import Image

from expt.parts.data.image_decoding import (
    Color,
    UnusableError,
    decode_image,
    pillow_warnings,
)
from parts.data.image_variants import (
    GRAY,
    STORED,
    Pixels,
    chunk,
    colored,
    oriented,
    png,
    save,
    sixteen,
    tiff,
)

PIXELS = np.random.default_rng(0).integers(256, size=(9, 13), dtype=np.uint8)
COLORS = np.random.default_rng(1).integers(256, size=(9, 13, 3), dtype=np.uint8)
ALPHA = np.random.default_rng(2).choice(np.array([0, 1, 51, 128, 254, 255], np.uint8), (9, 13))


def decoded(content: bytes, background: Color | None = None) -> Pixels:
    return np.asarray(decode_image(content, background).image)


def refused(content: bytes, background: Color | None = None) -> UnusableError:
    with pytest.raises(UnusableError) as error:
        decode_image(content, background)
    return error.value


@pytest.mark.parametrize("name", GRAY)
@pytest.mark.filterwarnings("error")
def test_the_same_pixels_are_the_same_in_every_file(name: str) -> None:
    found = decode_image(GRAY[name](PIXELS), None)
    is_gray = found.channels == 1
    assert found.image.mode == ("L" if is_gray else "RGB")
    np.testing.assert_array_equal(found.image, PIXELS if is_gray else colored(PIXELS))
    assert is_gray == (not {"RGB", "RGBA", "P", "gif", "webp"} & set(name.split()))


@given(st_numpy.arrays(np.uint8, (3, 4)), st.sampled_from(sorted(GRAY)))
@settings(max_examples=60, deadline=None)
def test_pixels_of_any_value_are_the_same_or_refused(pixels: Pixels, name: str) -> None:
    # 16-bit values that may be unscaled 12-bit ones are refused.
    is_dark = "16" in name and pixels.max() < 16
    with suppress(UnusableError) if is_dark else nullcontext():
        found = decode_image(GRAY[name](pixels), None)
        np.testing.assert_array_equal(found.image.convert("L"), pixels)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_levels_span_the_whole_range(bits: int) -> None:
    levels = np.arange(2**bits, dtype=np.uint8).reshape(1, -1)
    expected = levels * (255 // (2**bits - 1))
    np.testing.assert_array_equal(decoded(png(levels, bits)), expected)


def test_one_bit_of_pillow() -> None:
    image = Image.fromarray(PIXELS > 127)
    for kind in ("PNG", "BMP", "TIFF"):
        np.testing.assert_array_equal(decoded(save(image, kind)), (PIXELS > 127) * 255)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_colors(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decoded(save(Image.fromarray(COLORS), kind, **options)), COLORS)


# Orientation


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.filterwarnings("error")
def test_images_are_upright(kind: str, orientation: int) -> None:
    # A smooth gradient, which JPEG's compression hardly changes.
    smooth = np.add.outer(np.arange(16), 2 * np.arange(24)).astype(np.uint8) * 3
    found = decode_image(oriented(smooth, orientation, kind), None)
    tolerance = 3 if kind == "JPEG" else 0
    image = np.asarray(found.image.convert("L"), float)
    assert image.shape == smooth.shape
    np.testing.assert_allclose(image, smooth, atol=tolerance)
    assert found.is_plain == (orientation == 1 and kind in ("PNG", "JPEG"))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_applies_to_16_bits_and_transparency(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](PIXELS))
    deep = save(Image.fromarray(sixteen(stored)), "PNG", exif=exif)
    np.testing.assert_array_equal(decoded(deep), PIXELS)
    layers = np.ascontiguousarray(STORED[orientation](np.dstack([COLORS, ALPHA // 255 * 255])))
    clear = save(Image.fromarray(layers), "PNG", exif=exif)
    expected = np.where(ALPHA[..., None] == 255, COLORS, 255)
    np.testing.assert_array_equal(decoded(clear, (255, 255, 255)), expected)


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_invalid_orientation_is_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode_image(save(Image.fromarray(PIXELS), "PNG", exif=exif), None)
    np.testing.assert_array_equal(found.image, PIXELS)
    assert found.is_plain


def _directory(*entries: bytes) -> bytes:
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"nothing of the kind",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        _directory() + b"\x05\0",
        b"II*\0\x08\0\0\0\x05\0",
        _directory(struct.pack("<HHI4s", 0x0112, 2, 4, b"up\0\0")),  # a text
        _directory(struct.pack("<HHII", 0x0112, 3, 9, 10_000)),  # nine numbers beyond the end
        _directory(struct.pack("<HHI4s", 0x0112, 99, 1, b"\x06\0\0\0")),  # an unknown type
        _directory(struct.pack("<HHI4s", 0x0112, 5, 1, b"\x08\0\0\0")),  # a fraction
    ],
)
def test_broken_metadata_is_ignored(exif: bytes) -> None:
    content = save(Image.fromarray(PIXELS), "PNG")
    # After the signature and the header chunk, which are 8 and 25 bytes.
    inserted = content[:33] + chunk(b"eXIf", exif) + content[33:]
    jpeg = save(Image.fromarray(PIXELS), "JPEG", quality=100)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif
    with warnings.catch_warnings(record=True) as shown, pillow_warnings():
        np.testing.assert_array_equal(decoded(inserted), PIXELS)
        np.testing.assert_array_equal(decoded(jpeg[:2] + segment + jpeg[2:]), decoded(jpeg))
    assert not shown


# Transparency


def over(colors: NDArray[Any], alpha: NDArray[Any], background: Color) -> Pixels:
    """Blends colors, shape [..., 3], with a background by their alpha, as a reference."""
    share = alpha[..., None] / 255
    return np.floor(colors * share + np.asarray(background) * (1 - share) + 0.5).astype(np.uint8)


BACKGROUNDS = [(255, 255, 255), (0, 0, 0), (90, 90, 90), (200, 30, 5)]


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_transparent_colors_are_blended_with_the_background(kind: str, background: Color) -> None:
    layers = Image.fromarray(np.dstack([COLORS, ALPHA]))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    content = save(layers, kind, **options)
    found = decode_image(content, background)
    assert not found.is_plain
    expected = over(COLORS, ALPHA, background).astype(int)
    np.testing.assert_allclose(np.asarray(found.image, int), expected, atol=1)
    error = refused(content)
    assert error.fault == "it has transparent pixels"
    assert error.remedy.startswith("data.background=white, black or [red,green,blue]")


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_transparent_gray_stays_gray_on_gray(background: Color) -> None:
    content = save(Image.fromarray(np.dstack([PIXELS, ALPHA])), "PNG")
    found = decode_image(content, background)
    assert found.channels == (3 if background == BACKGROUNDS[-1] else 1)
    expected = over(colored(PIXELS), ALPHA, background).astype(int)
    np.testing.assert_allclose(np.asarray(found.image.convert("RGB"), int), expected, atol=1)


def test_colors_of_fully_transparent_pixels_are_ignored() -> None:
    # The same image for a viewer, with different colors stored under the transparent pixels.
    first, second = (np.dstack([colors, ALPHA * 0]) for colors in (COLORS, 255 - COLORS))
    for background in BACKGROUNDS:
        one, other = (
            decoded(save(Image.fromarray(layers), "PNG"), background) for layers in (first, second)
        )
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, np.full_like(COLORS, background))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0)])
def test_transparent_gray_level(bits: int, background: Color) -> None:
    # tRNS names one gray level as transparent, in the depth of the file.
    levels = np.arange(2 ** min(bits, 4), dtype=np.uint16).reshape(1, -1) * (2**bits // 16 or 1)
    shown = levels * 255 // (2**bits - 1) if bits <= 8 else levels >> 8
    for key in {1, levels.shape[1] - 1}:
        content = png(levels, bits, chunk(b"tRNS", struct.pack(">H", levels[0, key])))
        assert "transparent" in refused(content).fault
        expected = shown.copy()
        expected[0, key] = background[0]
        np.testing.assert_array_equal(decoded(content, background), expected)


def test_transparent_color() -> None:
    key = struct.pack(">HHH", *COLORS[2, 3].tolist())
    content = png(COLORS, 8, chunk(b"tRNS", key))
    assert "transparent" in refused(content).fault
    expected = COLORS.copy()
    expected[2, 3] = (0, 255, 7)
    np.testing.assert_array_equal(decoded(content, (0, 255, 7)), expected)
    deep = png(sixteen(COLORS), 16, chunk(b"tRNS", key))
    assert "16 bits a channel and a transparent color" in refused(deep, (0, 0, 0)).fault


def test_transparent_color_that_no_pixel_has() -> None:
    content = png(PIXELS // 2, 8, chunk(b"tRNS", struct.pack(">H", 200)))
    found = decode_image(content, None)
    np.testing.assert_array_equal(found.image, PIXELS // 2)
    assert not found.is_plain  # TensorFlow's decoder could add an alpha channel


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_with_a_transparent_color(kind: str) -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4), "L").convert("P")
    image.putpalette([level for index in range(256) for level in (index, 2 * index % 256, 9)])
    content = save(image, kind, transparency=5)
    assert "transparent" in refused(content).fault
    expected = np.asarray(image.convert("RGB")).copy()
    expected[1, 1] = 255
    np.testing.assert_array_equal(decoded(content, (255, 255, 255)), expected)


# Depth


@pytest.mark.parametrize("levels", [np.full((3, 4), 4095), np.arange(12).reshape(3, 4) * 300])
def test_16_bits_that_may_be_unscaled_12_are_refused(levels: NDArray[Any]) -> None:
    # Pillow keeps the values of gray 16-bit images, so that the message can show the largest.
    for content in (png(levels, 16), tiff(levels.astype("<u2"))):
        error = refused(content)
        assert f"16-bit values are at most {levels.max()} of 65535" in error.fault
    for content in (
        png(np.dstack([levels] * 3), 16),
        png(np.dstack([levels, levels * 0 + 65535]), 16),
        tiff(np.dstack([levels] * 3).astype("<u2")),
    ):
        assert "ambiguous which value is white" in refused(content).fault


REFUSED = {
    "whole numbers of 32 bits": tiff(PIXELS.astype("<u4")),
    "fractions": save(Image.fromarray(PIXELS.astype(np.float32)), "TIFF"),
    "color space LAB": save(Image.frombytes("LAB", (4, 4), bytes(48)), "TIFF"),
    "mode YCbCr": save(Image.fromarray(COLORS).convert("YCbCr"), "TIFF"),
    "channels have 8 bits, signed": tiff(PIXELS.view(np.int8), t339=2),
    "signed|whole numbers": tiff(sixteen(PIXELS).view(np.int16), t339=2),
    "channels have 12 bits": tiff(sixteen(PIXELS), bits=12),
    "inverted, white is 0": tiff(sixteen(PIXELS), t262=0),
}


@pytest.mark.parametrize(("message", "content"), REFUSED.items(), ids=range(len(REFUSED)))
@pytest.mark.filterwarnings("ignore:.*saving I mode")
def test_ambiguous_content_is_refused(message: str, content: bytes) -> None:
    with pytest.raises(UnusableError, match=message):
        decode_image(content, None)


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
def test_several_images_in_a_file_are_refused(kind: str) -> None:
    frames = [Image.fromarray(COLORS), Image.fromarray(255 - COLORS)]
    content = save(frames[0], kind, save_all=True, append_images=frames[1:])
    assert refused(content).fault == "it holds 2 images; expected one"


def test_first_image_of_an_animated_png_or_mpo_is_decoded() -> None:
    # Viewers without animation show the first frame of a PNG; the other images of an MPO file
    # are previews or for 3D.
    frames = [Image.fromarray(COLORS), Image.fromarray(255 - COLORS)]
    moving = save(frames[0], "PNG", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decoded(moving), COLORS)
    several = save(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95)
    found = decode_image(several, None)
    np.testing.assert_array_equal(found.image, decoded(save(frames[0], "JPEG", quality=95)))


def test_cmyk_is_converted() -> None:
    cmyk = Image.fromarray(COLORS).convert("CMYK")
    found = decode_image(save(cmyk, "TIFF"), None)
    np.testing.assert_array_equal(found.image, COLORS)
    flat = Image.new("RGB", (16, 16), (200, 90, 30)).convert("CMYK")
    found = decode_image(save(flat, "JPEG", quality=100), None)
    np.testing.assert_allclose(
        np.asarray(found.image, int), np.asarray(flat.convert("RGB"), int), atol=2
    )
    assert not found.is_plain
