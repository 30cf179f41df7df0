"""The images of a run's predictions, and the recorder that writes images as PNG files."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset
from expt.parts.data.preparation import ArrayPreparation
from expt.record import grids
from expt.record.recorder import PARTIAL, Image, Record
from expt.record.replay import IMAGES
from expt.record.scatter import predicted_against_true
from expt.runs.run import Run, Status

_FIXED_EXAMPLES = 25


def draw_validation(
    dataset: Dataset, task: str, kind: str, step: int, predictions: NDArray[np.floating[Any]]
) -> Iterator[Image]:
    """Yields the images of a step, which are drawn later; they show the same examples at each step.

    Args:
        dataset: The data set.
        task: `classification`, `regression`, `reconstruction` or `generation`.
        kind: The meaning of predictions: `probability` or `score` of each class, or `value`.
        step: The optimizer step.
        predictions: The predictions for the validation split, or the generated examples if the
            task is generation; shape [examples, ...].
    """
    drawings = _DRAWINGS[task](dataset, kind, predictions)
    now = time.time()
    for name, draw in drawings.items():
        yield Image(step=step, time=now, name=f"val/{name}", draw=draw)


# The functions that draw the images, by name; they are called on the thread of a recorder.
_Drawings = dict[str, Callable[[], grids.Pixels]]


def _of_classification(
    dataset: Dataset, kind: str, predictions: NDArray[np.floating[Any]]
) -> _Drawings:
    split, names = dataset.validation, dataset.class_names
    confusion = partial(grids.confusion_matrix, split.targets, predictions, names)
    if not dataset.has_images:
        return {"confusion": confusion}
    first = np.arange(min(_FIXED_EXAMPLES, len(split)))
    worst = grids.worst_mistakes(split.targets, predictions)
    mistake_grid = partial(grids.mistake_grid, are_probabilities=kind == "probability")

    def grid(draw: Callable[..., grids.Pixels], shown: NDArray[np.intp]) -> grids.Pixels:
        images = as_pixels(dataset, split.read(shown))
        return draw(images, split.targets[shown], predictions[shown], names)

    return {
        "predictions": partial(grid, grids.prediction_grid, first),
        "mistakes": partial(grid, mistake_grid, worst),
        "confusion": confusion,
    }


def _of_regression(
    dataset: Dataset, kind: str, predictions: NDArray[np.floating[Any]]
) -> _Drawings:
    del kind
    targets, column = dataset.validation.targets, dataset.other_columns.get("target")
    names = [] if column is None else [column]
    return {"predicted_against_true": partial(predicted_against_true, targets, predictions, names)}


def _of_reconstruction(
    dataset: Dataset, kind: str, predictions: NDArray[np.floating[Any]]
) -> _Drawings:
    del kind
    inputs, shown = dataset.validation.first(_FIXED_EXAMPLES), predictions[:_FIXED_EXAMPLES]
    if dataset.has_images:
        inputs, shown = as_pixels(dataset, inputs), as_pixels(dataset, shown)
        return {"reconstructions": partial(grids.reconstruction_grid, inputs, shown)}
    targets, outputs = (array.reshape(len(array), -1) for array in (inputs, shown))
    draw = partial(predicted_against_true, targets, outputs, dataset.feature_names)
    return {"predicted_against_true": draw}


def _of_generation(
    dataset: Dataset, kind: str, predictions: NDArray[np.floating[Any]]
) -> _Drawings:
    del kind
    if not dataset.has_images:
        return {}
    shown = as_pixels(dataset, predictions[:_FIXED_EXAMPLES])
    titles, marked = [""] * len(shown), [False] * len(shown)
    return {"generated": partial(grids.image_grid, shown, titles, marked)}


def as_pixels(dataset: Dataset, images: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Returns images as pixels from 0 to 1.

    Only arrays that training uses in their own range are changed, and only if that range is not
    within 0 to 1: they are shifted and scaled by the range of the training split.
    """
    preparation = dataset.preparation or {}
    if preparation.get("kind") != "array" or preparation.get("divisor") != 1:
        return images
    trained = ArrayPreparation.from_mapping(preparation).trained_on
    if trained.least >= 0 and trained.most <= 1:
        return images
    # The bound avoids a division by zero if all training pixels are equal.
    return np.asarray((images - trained.least) / max(trained.most - trained.least, 1e-30))


_DRAWINGS = {
    "classification": _of_classification,
    "regression": _of_regression,
    "reconstruction": _of_reconstruction,
    "generation": _of_generation,
}


class ImageRecorder:
    """A recorder that writes each image as `images/NAME_STEP.png`."""

    def open(self, run: Run) -> None:
        """Creates the folder, and removes incomplete files of a killed process."""
        self._folder = run.directory / IMAGES
        self._folder.mkdir(exist_ok=True)
        for partial_file in self._folder.glob(f"{PARTIAL}*"):
            partial_file.unlink()

    def write(self, record: Record) -> None:
        """Writes an image; its file is complete as soon as it exists."""
        if isinstance(record, Image):
            # Steps have leading zeros, so that file managers sort the images by step.
            name = f"{record.name.replace('/', '_')}_{record.step:07d}.png"
            partial_file = self._folder / f"{PARTIAL}{name}"
            partial_file.write_bytes(record.png())
            partial_file.replace(self._folder / name)

    def close(self, status: Status) -> None:
        """Does nothing: every file is already written."""
