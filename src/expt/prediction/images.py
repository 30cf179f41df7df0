"""Image files as inputs of a prediction."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.image_decoding import EXTENSIONS, UnusableError, pillow_warnings
from expt.parts.data.image_listing import list_images
from expt.parts.data.image_preparation import ImagePreparation
from expt.parts.data.preparation import ArrayPreparation
from expt.parts.data.reading import told_of

BATCH_SIZE = 256
_MOST_NAMED = 3


@dataclass(frozen=True)
class ImageInputs:
    """Image files as inputs.

    Attributes:
        files: Their paths.
        batches: Their pixels as the model takes them, a batch of files at a time.
        notes: What a user should know of how they were read, a sentence each.
    """

    files: Sequence[str]
    batches: Iterator[NDArray[np.float32]]
    notes: Sequence[str]


def read_images(path: Path, shape: tuple[int, ...], preparation: Mapping[str, Any]) -> ImageInputs:
    """Reads the images of a folder and of those in it, or one image.

    Args:
        path: The folder or the image.
        shape: Of one input of the model.
        preparation: How the run's training prepared its inputs: image files are prepared in the
            same way. Where it had arrays, images become gray or colours as the model takes them.

    Raises:
        UserError: There are no images, one can't be decoded or has another form, or the model
            takes no images.
    """
    form, divisor = _form(path, shape, preparation)
    files, left_out = list_images(path) if path.is_dir() else ([path], [])
    if not files:
        raise UserError(f"{path}: there are no images ({', '.join(EXTENSIONS)}).")
    starts = range(0, len(files), BATCH_SIZE)
    batches = (_read(files[start : start + BATCH_SIZE], form, divisor) for start in starts)
    return ImageInputs([_text(file) for file in files], batches, _notes(path, left_out))


def _form(
    path: Path, shape: tuple[int, ...], preparation: Mapping[str, Any]
) -> tuple[ImagePreparation, np.float32]:
    """Returns what images are brought to, and what their pixels are divided by."""
    if preparation.get("kind") == "image":
        form = ImagePreparation.from_mapping(preparation)
        return form, np.float32(form.divisor)
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise UserError(f"{path}: the model takes inputs of the shape {shape}, not images.")
    scale = 1.0
    if preparation.get("kind") == "array":
        with told_of(f"{path}: "):
            scale = ArrayPreparation.from_mapping(preparation).pixel_scale()
    form = ImagePreparation(*shape, can_resize=False)
    return form, np.float32(form.divisor / scale)


def _read(
    files: Sequence[Path], form: ImagePreparation, divisor: np.float32
) -> NDArray[np.float32]:
    with pillow_warnings():
        pixels = np.stack([_read_image(file, form) for file in files])
    return np.divide(pixels, divisor, dtype=np.float32)


def _read_image(file: Path, form: ImagePreparation) -> NDArray[np.uint8]:
    try:
        return form.pixels(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file} can't be read: {error}") from error
    except UnusableError as error:
        advice = f" Convert it, or train with an option: {error.remedy}." if error.remedy else ""
        raise UserError(f"{file} can't be used: {error.fault}.{advice}") from error


def _notes(folder: Path, left_out: Sequence[Path]) -> tuple[str, ...]:
    """Names the files that are not read."""
    if not left_out:
        return ()
    names = ", ".join(_text(file.relative_to(folder)) for file in left_out[:_MOST_NAMED])
    more = ", …" if len(left_out) > _MOST_NAMED else ""
    return (
        f"{len(left_out)} file(s) or folder(s) in {_text(folder)} are left out: {names}{more}. "
        f"Files that end in {', '.join(EXTENSIONS)} are read, unless they are hidden.",
    )


def _text(path: Path) -> str:
    """Returns a path without what no text file can hold."""
    return os.fsencode(path).decode("utf-8", "replace")
