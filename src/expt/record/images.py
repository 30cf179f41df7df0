"""The run's pictures: which are drawn, and the folder of PNG files."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset
from expt.record import grids
from expt.record.recorder import Image, Record
from expt.record.run import Run, Status

_FIXED_EXAMPLES = 25


def draw_validation(dataset: Dataset, step: int, outputs: NDArray[np.float32]) -> Iterator[Image]:
    """Yields the pictures of a step, not yet drawn; the examples are the same at every step.

    Args:
        dataset: Whose validation split the outputs are for.
        step: The optimizer step.
        outputs: What the model gave for the validation split, shape [examples, outputs].
    """
    inputs, targets = dataset.validation.inputs, dataset.validation.targets
    pictures: dict[str, Callable[[], grids.Pixels]] = {}
    if dataset.task == "regression":
        pictures["predicted_against_true"] = partial(grids.predicted_against_true, targets, outputs)
    else:
        names = dataset.class_names
        if dataset.has_images:
            first = slice(_FIXED_EXAMPLES)
            pictures["predictions"] = partial(
                grids.prediction_grid, inputs[first], targets[first], outputs[first], names
            )
            pictures["mistakes"] = partial(grids.mistake_grid, inputs, targets, outputs, names)
        pictures["confusion"] = partial(grids.confusion_matrix, targets, outputs, names)
    now = time.time()
    for name, draw in pictures.items():
        yield Image(step=step, time=now, name=f"val/{name}", draw=draw)


class ImageRecorder:
    """Writes each picture as `images/NAME_STEP.png`."""

    def open(self, run: Run) -> None:
        """Makes the folder."""
        self._folder = run.directory / "images"
        self._folder.mkdir(exist_ok=True)

    def write(self, record: Record) -> None:
        """Writes a picture."""
        if isinstance(record, Image):
            name = record.name.replace("/", "_")
            (self._folder / f"{name}_{record.step:07d}.png").write_bytes(record.png())

    def close(self, status: Status) -> None:
        """Every file is already written."""
