"""Records read back from a run's files, for sinks that have to catch up."""

import functools
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from expt.record.journal import read_journal
from expt.record.recorder import PARTIAL, Image, Scalars

_log = logging.getLogger(__name__)
IMAGES = "images"
"""The folder of a run's pictures."""

_LARGEST = 1 << 14
"""The most records in one `Scalars`."""


def read_scalars(path: Path, end: int | None = None) -> Iterator[Scalars]:
    """Yields a journal's records, gathered as long as they have the same metrics.

    Args:
        path: The journal.
        end: What is beyond this byte is left out; None is the file's end.

    Raises:
        UserError: The journal is damaged elsewhere than at its end.
    """
    for _, group in itertools.groupby(read_journal(path, end=end), key=tuple):
        while records := list(itertools.islice(group, _LARGEST)):
            # A damaged digit can make a number that float32 lacks: then it is infinite.
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
    """A picture of which there is a file; it is read when a sink asks for it, and not kept."""

    path: Path = Path()

    def pixels(self) -> NDArray[np.uint8]:
        """The pixels, read."""
        return self.draw()

    def png(self) -> bytes:
        """The file as it is."""
        return self.path.read_bytes()


def read_images(directory: Path) -> Iterator[StoredImage]:
    """Yields a run's pictures, as far as they have files, in the order of their steps and names.

    What is damaged, or no picture of a run, is left out with a warning.

    Args:
        directory: The run's.
    """
    folder = directory / IMAGES
    files = (file for file in folder.glob("*.png") if not file.name.startswith(PARTIAL))
    images = [image for file in files if (image := read_image(file)) is not None]
    yield from sorted(images, key=lambda image: (image.step, image.name))


def image_keys(directory: Path) -> Iterator[tuple[str, int]]:
    """Yields name and step of each picture that `read_images` yields."""
    for image in read_images(directory):
        yield image.name, image.step


def read_image(path: Path) -> StoredImage | None:
    """Returns the picture of a file; None, with a warning, if it is damaged or not a run's."""
    try:
        with PillowImage.open(path, formats=["PNG"]) as picture:
            texts = picture.info
            step, moment, name = int(texts["step"]), float(texts["time"]), str(texts["name"])
            picture.verify()
    except KeyError as error:
        _log.warning("%s is left out: it is no picture of a run, it has no %s.", path, error)
        return None
    # Pillow raises whatever the damage leads it to.
    except Exception as error:  # noqa: BLE001
        _log.warning("%s is left out: it can't be read (%s).", path, error)
        return None
    return StoredImage(step, moment, name, functools.partial(_read_pixels, path), path=path)


def _read_pixels(path: Path) -> NDArray[np.uint8]:
    with PillowImage.open(path, formats=["PNG"]) as picture:
        return np.asarray(picture.convert("RGB"))
