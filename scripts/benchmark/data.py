"""The data of the benchmark: files in the formats of expt's sources, and arrays for contenders."""

import contextlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_Result = TypeVar("_Result")
_CONTRAST = 32  # of the patterns, of 256 gray values


def in_new_process(function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Calls a function in a new process.

    The data is written in one, since the peak memory of a measured process would otherwise be at
    least that of this process: Linux counts it from before the new program is loaded.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def write_sources(folder: Path, with_images: bool) -> None:
    """Writes files with examples of the shapes of MNIST and CIFAR-10, where expt finds them.

    Args:
        folder: The working directory of the contenders.
        with_images: Whether to write 20,000 image files, too.
    """
    _write_arrays(folder / "data/mnist/mnist.npz", 14_080, (28, 28))
    _write_arrays(folder / "whole.npz", 60_000, (28, 28))
    _write_arrays(folder / "data/cifar10/cifar10.npz", 14_080, (32, 32, 3))
    if with_images:
        _write_images(folder)


def write_task(file: Path, overrides: Sequence[str], folder: Path) -> int:
    """Writes the arrays that expt trains and validates on, standardized, for other contenders.

    Only full batches are kept, since expt trains on no others.

    Args:
        file: The npz file to write.
        overrides: The overrides of expt.
        folder: The working directory of the contenders.

    Returns:
        The batch size.
    """
    from expt.config.compose import compose_jobs
    from expt.train.data_loading import DataLoader

    with contextlib.chdir(folder):
        (job,), _ = compose_jobs(list(overrides), None, multirun=False)
        dataset = DataLoader()(job)
    arrays: dict[str, Any] = {}
    counts = {"train": dataset.steps_per_epoch * dataset.batch_size, "validation": None}
    for name, count in counts.items():
        split = getattr(dataset, name)
        inputs = split.inputs[:count]
        if dataset.input_scale is not None:
            inputs = (inputs - dataset.input_scale.mean) / dataset.input_scale.deviation
        arrays[f"x_{name}"] = inputs.astype(np.float32)
        arrays[f"y_{name}"] = split.targets[:count].astype(np.int32)
    np.savez(file, **arrays)
    return dataset.batch_size


def _write_arrays(file: Path, num_train: int, shape: tuple[int, ...]) -> None:
    arrays: dict[str, Any] = {}
    for part, count in (("train", num_train), ("test", 1_280)):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = _examples(count, shape)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **arrays)


def _write_images(folder: Path) -> None:
    images, labels = _examples(20_000, (28, 28))
    np.savez(folder / "images.npz", x=images, y=labels)
    for label in range(10):
        (folder / "images" / str(label)).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(folder / "images" / str(label) / f"{number}.png")


def _examples(count: int, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Returns ten patterns under noise.

    The patterns are faint, so that the losses do not vanish within the epochs of a row: final
    losses near 0 could not be compared, and tiny numbers slow down some processors.
    """
    patterns = np.random.default_rng(0).integers(0, _CONTRAST, (10, *shape))
    random = np.random.default_rng(count)
    labels = random.integers(0, 10, count)
    noise = random.integers(0, 256 - _CONTRAST, (count, *shape))
    return (patterns[labels] + noise).astype(np.uint8), labels.astype(np.int64)
