"""Image files of many kinds with the same pixels."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Write = Callable[[Pixels], bytes]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GRAY, _COLORS, _GRAY_ALPHA, _COLORS_ALPHA = 0, 2, 4, 6  # color types of PNG
_CHANNELS = {_GRAY: 1, _COLORS: 3, _GRAY_ALPHA: 2, _COLORS_ALPHA: 4}


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Returns the content of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(levels: NDArray[Any], bits: int, *extra: bytes, is_interlaced: bool = False) -> bytes:
    """Returns a PNG, written without Pillow, which supports few depths.

    Args:
        levels: Shape [height, width] or [height, width, channels].
        bits: A channel.
        extra: Chunks before those of the pixels.
        is_interlaced: Whether the pixels come in the seven passes of Adam7.
    """
    height, width = levels.shape[:2]
    levels = levels.reshape(height, width, -1)
    kind = {channels: kind for kind, channels in _CHANNELS.items()}[levels.shape[2]]
    passes = [(0, 0, 1, 1)]
    if is_interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
        passes += [(0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [levels[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + _packed(row, bits) for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, is_interlaced)
    chunks = [chunk(b"IHDR", header), *extra, chunk(b"IDAT", zlib.compress(rows))]
    return _SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def _packed(row: NDArray[Any], bits: int) -> bytes:
    if bits >= 8:
        return row.astype(f">u{bits // 8}").tobytes()
    digits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :]
    return np.packbits(digits).tobytes()


def tiff(levels: NDArray[Any], **tags: int) -> bytes:
    """Returns an uncompressed TIFF, written without Pillow, which supports few depths.

    Args:
        levels: Little-endian, shape [height, width] or [height, width, channels].
        tags: Values of other tags or instead of those that follow from `levels`, as `t274=6`.
    """
    height, width = levels.shape[:2]
    channels = 1 if levels.ndim == 2 else levels.shape[2]
    bits = tags.pop("bits", levels.dtype.itemsize * 8)
    entries = {256: [width], 257: [height], 258: [bits] * channels, 259: [1]}
    entries |= {262: [1 if channels == 1 else 2], 273: [0], 277: [channels], 278: [height]}
    entries |= {279: [levels.nbytes], 339: [1] * channels}
    entries |= {int(name[1:]): [value] for name, value in tags.items()}
    if channels in (2, 4):
        entries.setdefault(338, [2])
    start = 8 + 2 + 12 * len(entries) + 4
    longer = {tag: values for tag, values in entries.items() if len(values) > 2}
    entries[273] = [start + sum(2 * len(values) for values in longer.values())]
    table, behind = b"", b""
    for tag, values in sorted(entries.items()):
        is_long = tag in (273, 279)
        value = struct.pack("<I" if is_long else f"<{len(values)}H", *values).ljust(4, b"\0")
        if tag in longer:
            value, behind = struct.pack("<I", start + len(behind)), behind + value
        table += struct.pack("<HHI", tag, 4 if is_long else 3, len(values)) + value
    header = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return header + table + bytes(4) + behind + levels.tobytes()


def with_alpha(pixels: Pixels, alpha: int = 255) -> Pixels:
    """Appends a constant channel."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return np.concatenate([pixels, np.full_like(pixels[..., :1], alpha)], axis=-1)


def colored(pixels: Pixels) -> Pixels:
    """Returns gray pixels as colors."""
    return np.repeat(pixels[..., None], 3, axis=-1)


def palette_of(pixels: Pixels) -> Image.Image:
    """Returns gray pixels as a palette image; the palette has all 256 grays, shuffled."""
    image = Image.fromarray(255 - pixels, "L").convert("P")
    image.putpalette([255 - index // 3 for index in range(768)])
    return image


def sixteen(pixels: Pixels) -> NDArray[np.uint16]:
    """Returns 8-bit pixels scaled to 16 bits."""
    return pixels.astype(np.uint16) * 257


# Writers of gray pixels, uint8 [height, width], as files that look the same in a viewer.
GRAY: dict[str, Write] = {
    "png L": lambda p: save(Image.fromarray(p), "PNG"),
    "png interlaced": lambda p: png(p, 8, is_interlaced=True),
    "png LA": lambda p: save(Image.fromarray(with_alpha(p)), "PNG"),
    "png RGB": lambda p: save(Image.fromarray(colored(p)), "PNG"),
    "png RGBA": lambda p: save(Image.fromarray(with_alpha(colored(p))), "PNG"),
    "png P": lambda p: save(palette_of(p), "PNG"),
    "png P with alpha": lambda p: save(palette_of(p), "PNG", transparency=b"\xff" * 9),
    "png 16": lambda p: png(sixteen(p), 16),
    "png 16 in Pillow": lambda p: save(Image.fromarray(sixteen(p)), "PNG"),
    "png 16 of shifted bits": lambda p: png(p.astype(np.uint16) << 8 | 17, 16),
    "png 16 LA": lambda p: png(sixteen(with_alpha(p)), 16),
    "png 16 RGB": lambda p: png(sixteen(colored(p)), 16),
    "png 16 RGBA": lambda p: png(sixteen(with_alpha(colored(p))), 16),
    "png 12 significant of 16": lambda p: png(sixteen(p), 16, chunk(b"sBIT", b"\x0c")),
    "bmp L": lambda p: save(Image.fromarray(p), "BMP"),
    "bmp RGB": lambda p: save(Image.fromarray(colored(p)), "BMP"),
    "gif": lambda p: save(palette_of(p), "GIF"),
    "gif of two frames": lambda p: save(
        Image.fromarray(p), "GIF", save_all=True, append_images=[Image.fromarray(255 - p)]
    ),
    "tiff L": lambda p: save(Image.fromarray(p), "TIFF"),
    "tiff LZW": lambda p: save(Image.fromarray(p), "TIFF", compression="tiff_lzw"),
    "tiff white is 0": lambda p: tiff(255 - p, t262=0),
    "tiff 16": lambda p: tiff(sixteen(p)),
    "tiff 16 RGB": lambda p: tiff(sixteen(colored(p))),
    "tiff 16 RGBA": lambda p: tiff(sixteen(with_alpha(colored(p)))),
    "tiff RGBA": lambda p: save(Image.fromarray(with_alpha(colored(p))), "TIFF"),
    "tiff P": lambda p: save(palette_of(p), "TIFF"),
    "webp": lambda p: save(Image.fromarray(colored(p)), "WEBP", lossless=True, exact=True),
    "webp RGBA": lambda p: save(
        Image.fromarray(with_alpha(colored(p))), "WEBP", lossless=True, exact=True
    ),
}

# The stored pixels for each EXIF orientation, so that a viewer shows them upright.
STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: p.swapaxes(0, 1)[::-1],
    7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
    8: lambda p: p.swapaxes(0, 1)[:, ::-1],
}


def oriented(pixels: Pixels, orientation: int, kind: str) -> bytes:
    """Returns a file with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](pixels))
    kinds: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}
    return save(Image.fromarray(stored), kind, exif=exif, **kinds.get(kind, {}))
