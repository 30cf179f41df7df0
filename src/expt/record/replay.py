"""Reading of records back from a run's files, for sinks that have to catch up."""

import functools
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from expt.record.journal import read_journal
from expt.record.recorder import PARTIAL, Image, Scalars

_log = logging.getLogger(__name__)
IMAGES = "images"
"""The name of the folder of images in a run's directory."""

_MOST_RECORDS = 1 << 14
"""The maximum number of records in one `Scalars`, which bounds the memory of a long journal."""


def read_scalars(path: Path, end: int | None = None, start: int = 0) -> Iterator[Scalars]:
    """Yields a journal's records, many with the same metrics in one `Scalars`.

    The records of one metric keep their order; evaluations may come before or after the training
    steps around them.

    Args:
        path: The journal.
        end: The number of bytes to consider; None considers the whole file.
        start: The byte to start from; must be the start of a line.

    Raises:
        UserError: The journal can't be read, or is damaged before its last line.
    """
    journal = read_journal(path, start, end)
    while block := list(itertools.islice(journal, _MOST_RECORDS)):
        # A Scalars has the same metrics at all steps; evaluations have others than training steps.
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for record in block:
            groups.setdefault(tuple(record), []).append(record)
        for records in groups.values():
            # A damaged digit may make a number too large for float32, which becomes infinite.
            with np.errstate(over="ignore"):
                yield Scalars(
                    np.array([record["step"] for record in records]),
                    np.array([record["epoch"] for record in records]),
                    np.array([record["time"] for record in records], np.float64),
                    {
                        name: np.array([record[name] for record in records], np.float32)
                        for name in records[0]
                        if "/" in name
                    },
                )


@dataclass
class StoredImage(Image):
    """An image that has a file, which is read at each use and not kept in memory."""

    path: Path = Path()

    def pixels(self) -> NDArray[np.uint8]:
        """Returns the pixels of the file: uint8, shape [height, width, 3]."""
        return self.draw()

    def png(self) -> bytes:
        """Returns the content of the file."""
        return self.path.read_bytes()


def read_images(directory: Path) -> Iterator[StoredImage]:
    """Yields the stored images of a run, in the order of their steps and names.

    A file that is damaged or that no run has written is skipped with a warning.

    Args:
        directory: The run's directory.
    """
    folder = directory / IMAGES
    files = (file for file in folder.glob("*.png") if not file.name.startswith(PARTIAL))
    images = [image for file in files if (image := read_image(file)) is not None]
    yield from sorted(images, key=lambda image: (image.step, image.name))


def image_keys(directory: Path) -> Iterator[tuple[str, int]]:
    """Yields the name and the step of each image that `read_images` yields."""
    for image in read_images(directory):
        yield image.name, image.step


def read_image(path: Path) -> StoredImage | None:
    """Returns the image in a file; None, with a warning, if it is damaged or not a run's."""
    try:
        # `verify` checks the file without decoding its pixels.
        with PillowImage.open(path, formats=["PNG"]) as stored:
            texts = stored.info
            step, moment, name = int(texts["step"]), float(texts["time"]), str(texts["name"])
            stored.verify()
    except KeyError as error:
        _log.warning("%s is skipped: it is not an image of a run, since it has no %s.", path, error)
        return None
    # Depending on the damage, Pillow raises exceptions of many types.
    except Exception as error:  # noqa: BLE001
        _log.warning("%s is skipped: it can't be read (%s).", path, error)
        return None
    return StoredImage(step, moment, name, functools.partial(_read_pixels, path), path=path)


def _read_pixels(path: Path) -> NDArray[np.uint8]:
    with PillowImage.open(path, formats=["PNG"]) as stored:
        return np.asarray(stored.convert("RGB"))
