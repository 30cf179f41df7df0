"""`python -m expt.predict RUN INPUTS OUTPUTS`: a finished run's predictions for a file."""

import argparse
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from expt.command import run_command, take_options
from expt.config.compose import Job
from expt.config.frozen import read_frozen
from expt.errors import UserError, hint
from expt.parts.data.encoding import Encoder
from expt.parts.data.mapped import to_inputs
from expt.parts.data.reading import UNREADABLE, read_npz
from expt.runs.find import FoundRun, find_run
from expt.saved import check_shapes, load_model
from expt.train.backend import mistakes_told, start_tensorflow

_BATCH_SIZE = 256
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
_FORMATS = (".csv", ".npz", ".npy")


def main() -> None:
    """Runs the command line."""
    run_command(_run)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m expt.predict",
        description="Predicts with a finished run's best model.",
    )
    parser.add_argument("run", metavar="RUN", help="a run's directory, latest, or an MLflow run id")
    parser.add_argument(
        "inputs",
        metavar="INPUTS",
        type=Path,
        help=".npy, .npz (array x), .csv (for a run on a table), an image, or a folder of images",
    )
    parser.add_argument(
        "outputs", metavar="OUTPUTS", type=Path, help="a new .csv, .npz or .npy file"
    )
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="output_dir=…")
    args = parser.parse_intermixed_args(arguments)
    options, unknown = take_options(args.options, {"output_dir": "outputs"})
    if unknown:
        raise UserError(f"{unknown[0]}: {hint(unknown[0], ['output_dir=…'])}")
    _check_outputs(args.outputs)
    run = find_run(args.run, Path(options["output_dir"]))
    file = run.model_file
    job = read_frozen(run.directory, run.record)
    names, batches = _read_inputs(run, job, args.inputs)
    outputs = _predict(job, run, file, batches)
    table = _as_columns(run.record["data"], outputs)
    _write(args.outputs, names, table, outputs)
    Console().print(
        f"{len(outputs)} predictions written to {args.outputs}", highlight=False, soft_wrap=True
    )
    return 0


def _check_outputs(path: Path) -> None:
    if path.suffix not in _FORMATS:
        raise UserError(f"{path}: expected a file that ends in {', '.join(_FORMATS)}.")
    if path.exists():
        raise UserError(f"{path} exists already; choose another name, nothing is written over.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.absolute().parent}.")


Batches = Iterator[NDArray[np.float32]]


def _read_inputs(run: FoundRun, job: Job, path: Path) -> tuple[Sequence[str], Batches]:
    """Returns names of the inputs, if they have any, and the inputs in batches.

    Raises:
        UserError: The file is missing, damaged, or not of the kind that the model takes.
    """
    path = Path(os.path.expanduser(path))  # noqa: PTH111  never raises
    shape = tuple(run.record["model_input_shape"])
    if path.is_dir() or path.suffix.lower() in _IMAGES:
        return _read_images(path, shape, job.config["data"].get("image_size"))
    if not path.is_file():
        raise UserError(f"{path}: there is no such file or folder.")
    inputs = _read_array(run, path)
    if inputs.shape[1:] != shape or len(inputs) == 0:
        raise UserError(
            f"{path}: its inputs have the shape {inputs.shape}; the model of {run.directory.name} "
            f"takes (examples, {', '.join(map(str, shape))})."
        )
    if not np.isfinite(inputs).all():
        raise UserError(f"{path} has values that are NaN or infinite.")
    starts = range(0, len(inputs), _BATCH_SIZE)
    return (), (inputs[start : start + _BATCH_SIZE] for start in starts)


def _read_array(run: FoundRun, path: Path) -> NDArray[np.float32]:
    encoding = run.record["data"].get("encoding")
    if path.suffix == ".csv":
        if encoding is None:
            raise UserError(
                f"{path}: {run.directory.name} was not trained on a table; expected .npy or .npz."
            )
        return Encoder.from_mapping(encoding).read(path)
    if path.suffix == ".npz":
        array = read_npz(path, lambda names: ["x"] if "x" in names else list(names)[:1])
        values = next(iter(array.values()), np.empty(0))
    elif path.suffix == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except UNREADABLE as error:
            raise UserError(f"{path} can't be read as an array: {error}") from error
    else:
        raise UserError(
            f"{path}: expected .npy, .npz, .csv, an image ({', '.join(_IMAGES)}) or a folder of "
            "images."
        )
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise UserError(f"{path} has the type {values.dtype}; expected numbers.")
    return to_inputs(values)


def _read_images(
    path: Path, shape: tuple[int, ...], resized_to: Sequence[int] | None
) -> tuple[list[str], Batches]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if _is_image(p))
    if not files:
        raise UserError(f"{path}: there are no images ({', '.join(_IMAGES)}).")
    if len(shape) != 3:
        raise UserError(f"{path}: the model takes inputs of the shape {shape}, not images.")
    starts = range(0, len(files), _BATCH_SIZE)
    batches = (
        np.stack([_read_image(f, shape, resized_to) for f in files[start : start + _BATCH_SIZE]])
        for start in starts
    )
    return [str(file) for file in files], batches


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _IMAGES and not path.name.startswith(".")


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


def _predict(job: Job, run: FoundRun, file: Path, batches: Batches) -> NDArray[np.float32]:
    """Returns the predictions: probabilities for classes, else values."""
    first = next(batches)  # before TensorFlow starts: what is wrong with inputs is told at once
    start_tensorflow(job.config["seed"])
    from expt.building import make_predict

    model = load_model(file, job)
    check_shapes(model, run)
    predict = make_predict(job, run.record["data"]["task"], model)
    with mistakes_told(f"{file} can't predict"):
        return np.concatenate([predict(first), *map(predict, batches)])


def _as_columns(data: Mapping[str, Any], outputs: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Names what each prediction says: a class and each class's probability, or values."""
    if data["task"] == "classification":
        names = np.asarray(data["class_names"])
        columns: dict[str, NDArray[Any]] = {"class": names[outputs.argmax(axis=1)]}
        return columns | {f"probability {n}": p for n, p in zip(names, outputs.T, strict=True)}
    flat = outputs.reshape(len(outputs), math.prod(outputs.shape[1:]))
    return {f"value {number}": column for number, column in enumerate(flat.T)}


def _write(
    path: Path, names: Sequence[str], table: Mapping[str, NDArray[Any]], outputs: NDArray[Any]
) -> None:
    partial = path.with_name(f"partial-{path.name}")
    if path.suffix == ".csv":
        import pandas as pd

        named = {"file": np.asarray(names), **table} if names else table
        pd.DataFrame(named).to_csv(partial, index=False)
    elif path.suffix == ".npy":
        np.save(partial, outputs)
    else:
        arrays: dict[str, Any] = {"predictions": outputs}
        if "class" in table:
            arrays["classes"] = table["class"]
        if names:
            arrays["files"] = np.asarray(names)
        np.savez(partial, **arrays)
    partial.replace(path)


if __name__ == "__main__":
    main()
