"""Image files as inputs of a prediction."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from expt.errors import UserError

BATCH_SIZE = 256
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


def read_images(
    path: Path, shape: tuple[int, ...], resized_to: Sequence[int] | None
) -> tuple[list[str], Iterator[NDArray[np.float32]]]:
    """Returns the paths of the images of a folder, or of one image, and their pixels in batches.

    Raises:
        UserError: There are none, or one can't be decoded.
    """
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if _is_image(p))
    if not files:
        raise UserError(f"{path}: there are no images ({', '.join(IMAGES)}).")
    if len(shape) != 3:
        raise UserError(f"{path}: the model takes inputs of the shape {shape}, not images.")
    starts = range(0, len(files), BATCH_SIZE)
    batches = (
        np.stack([_read_image(f, shape, resized_to) for f in files[start : start + BATCH_SIZE]])
        for start in starts
    )
    return [str(file) for file in files], batches


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGES and not path.name.startswith(".")


def _read_image(
    file: Path, shape: tuple[int, ...], resized_to: Sequence[int] | None
) -> NDArray[np.float32]:
    height, width, channels = shape
    try:
        with Image.open(file) as image:
            pixels = image.convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{file} can't be decoded: {error}") from error
    if pixels.size != (width, height):
        if resized_to is None:
            raise UserError(
                f"{file} has {pixels.height}x{pixels.width} pixels; the model takes "
                f"{height}x{width}."
            )
        pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(pixels, np.float32).reshape(shape) / np.float32(255)
