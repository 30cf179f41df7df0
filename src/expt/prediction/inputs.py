"""Inputs of a prediction, from an array file, a table, an image or a folder of images."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.errors import UserError
from expt.parts.data.csv_files import STANDARD_INPUT
from expt.parts.data.image_decoding import EXTENSIONS
from expt.prediction.arrays import ARRAYS, read_array
from expt.prediction.images import BATCH_SIZE, read_images
from expt.prediction.tables import read_table_inputs
from expt.runs.find import FoundRun
from expt.serving.arrays import preparation_of

Batches = Iterator[NDArray[np.floating[Any]]]
"""Arrays of shape [examples, …]."""


@dataclass(frozen=True)
class Inputs:
    """Inputs of a prediction.

    Attributes:
        about: Columns that identify the input of each prediction, such as `file` or `line`.
        batches: The inputs as the model expects them, batch by batch.
        notes: Notes for the user on how the inputs were read, a sentence each.
    """

    about: Mapping[str, Sequence[Any]]
    batches: Batches
    notes: Sequence[str] = ()


def read_inputs(run: FoundRun, path: Path) -> Inputs:
    """Reads inputs in the same way as the run's training read its data.

    Args:
        run: The run, whose record has the preparation of its data.
        path: An array file, a table (`-` is the standard input), an image or a folder of images.

    Raises:
        UserError: The file is missing or damaged, or not of the kind that the model expects.
    """
    # Path.expanduser raises for an unknown ~user.
    path = Path(os.path.expanduser(path))  # noqa: PTH111
    shape = run.model_input_shape
    preparation = preparation_of(run.record.to_mapping())
    if str(path) != STANDARD_INPUT and not path.exists():
        raise UserError(f"{path}: there is no such file or folder.")
    if path.is_dir() or path.suffix.lower() in EXTENSIONS:
        images = read_images(path, shape, preparation)
        return Inputs({"file": images.files}, images.batches, images.notes)
    # Training reads a table from a file of any name, such as .tsv.
    is_table = preparation.get("kind") == "table" and path.suffix.lower() not in ARRAYS
    if is_table or path.suffix.lower() == ".csv" or str(path) == STANDARD_INPUT:
        table = read_table_inputs(run, path)
        batches = _batches(run, path, table.encoded.inputs)
        return Inputs({"line": table.lines}, batches, table.encoded.notes)
    return Inputs({}, _batches(run, path, read_array(path, shape, preparation)))


def _batches(run: FoundRun, path: Path, inputs: NDArray[np.floating[Any]]) -> Batches:
    shape = run.model_input_shape
    if inputs.shape[1:] != shape:
        raise UserError(
            f"{path}: its inputs have the shape {inputs.shape}; the model of {run.directory.name} "
            f"expects (examples, {', '.join(map(str, shape))})."
        )
    starts = range(0, len(inputs), BATCH_SIZE)
    return (inputs[start : start + BATCH_SIZE] for start in starts)
