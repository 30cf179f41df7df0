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
from expt.parts.data.reading import error_context

BATCH_SIZE = 256
"""Examples per batch of a prediction, which bounds its memory."""

_MOST_NAMED = 3


@dataclass(frozen=True)
class ImageInputs:
    """Image files as inputs.

    Attributes:
        files: Paths of the files.
        batches: Pixels as the model expects them, shape [files, height, width, channels], batch by
            batch.
        notes: Notes for the user on how the files were read, a sentence each.
    """

    files: Sequence[str]
    batches: Iterator[NDArray[np.float32]]
    notes: Sequence[str]


def read_images(path: Path, shape: tuple[int, ...], preparation: Mapping[str, Any]) -> ImageInputs:
    """Reads the images of a folder and its subfolders, or one image.

    Args:
        path: The folder or the image.
        shape: Shape of one input of the model.
        preparation: The preparation of the run's training inputs, as recorded in run.json, which is
            applied to image files. For a run that was trained on arrays, images are converted to
            the channels that the model expects.

    Raises:
        UserError: There are no images, one cannot be decoded or has another size, or the model does
            not take images.
    """
    form, divisor = _form(path, shape, preparation)
    files, left_out = list_images(path) if path.is_dir() else ([path], [])
    if not files:
        raise UserError(f"{path}: there are no images ({', '.join(EXTENSIONS)}).")
    # A generator, so that files are read while the model predicts and not all at once.
    starts = range(0, len(files), BATCH_SIZE)
    batches = (_read(files[start : start + BATCH_SIZE], form, divisor) for start in starts)
    return ImageInputs([_text(file) for file in files], batches, _notes(path, left_out))


def _form(
    path: Path, shape: tuple[int, ...], preparation: Mapping[str, Any]
) -> tuple[ImagePreparation, np.float32]:
    """Returns the form that images are converted to, and the divisor of their pixels."""
    if preparation.get("kind") == "image":
        form = ImagePreparation.from_mapping(preparation)
        return form, np.float32(form.divisor)
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise UserError(f"{path}: the model takes inputs of the shape {shape}, not images.")
    scale = 1.0
    if preparation.get("kind") == "array":
        # Training arrays may be bytes or fractions; pixels of files are always bytes.
        with error_context(f"{path}: "):
            scale = ArrayPreparation.from_mapping(preparation).pixel_scale()
    # Without resizing, since the run has no record of how its images would be resized.
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
        advice = f" Convert it, or train with this option: {error.remedy}." if error.remedy else ""
        raise UserError(f"{file} can't be used: {error.fault}.{advice}") from error


def _notes(folder: Path, left_out: Sequence[Path]) -> tuple[str, ...]:
    """Returns a note that names the files which were not read."""
    if not left_out:
        return ()
    names = ", ".join(_text(file.relative_to(folder)) for file in left_out[:_MOST_NAMED])
    more = ", …" if len(left_out) > _MOST_NAMED else ""
    return (
        f"{len(left_out)} file(s) or folder(s) in {_text(folder)} are left out: {names}{more}. "
        f"Only files that end in {', '.join(EXTENSIONS)} are read, unless they are hidden.",
    )


def _text(path: Path) -> str:
    """Returns a path as text, with invalid UTF-8 replaced."""
    # A file name is bytes; surrogates in a str could not be written to the CSV of predictions.
    return os.fsencode(path).decode("utf-8", "replace")
