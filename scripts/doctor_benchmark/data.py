"""Data sets with planted faults, as .npz files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets

Arrays = tuple[NDArray[np.floating[Any]], NDArray[Any]]


def write_data(folder: Path) -> None:
    """Writes the data sets that the cases name to a folder."""
    random = np.random.default_rng(0)
    loaded: dict[str, Arrays] = {
        "digits": _digits(),
        "iris": datasets.load_iris(return_X_y=True),
        "wine": datasets.load_wine(return_X_y=True),
        "breast_cancer": datasets.load_breast_cancer(return_X_y=True),
        "diabetes": datasets.load_diabetes(return_X_y=True, scaled=False),
    }
    made = {f"shuffled_{name}": (x, random.permutation(y)) for name, (x, y) in loaded.items()}
    for name in ("digits", "wine", "breast_cancer"):
        x, y = loaded[name]
        wrong = random.random(len(y)) < 0.25
        made[f"noisy_{name}"] = x, np.where(wrong, random.permutation(y), y)
    x, y = loaded["iris"]
    made |= {"large_iris": (1000 * x, y), "small_iris": (1e-4 * x, y)}
    x, y = loaded["digits"]
    made |= {"large_digits": (500 * x.reshape(len(x), -1), y)}
    line = random.normal(size=(600, 3))
    made["large_line"] = 1000 * line, (line @ [1.0, -2.0, 0.5] + 0.3)[:, None]
    made["constant_line"] = line, np.full((600, 1), 2.5)
    made["rare_pair"] = _blobs(random, (1440, 60), 1.0)
    made["rare_third"] = _blobs(random, (700, 700, 50), 1.0)
    made["rare_tenth"] = _rare_digit(loaded["digits"], 8)
    made["rare_tumor"] = _blobs(random, (1000, 40), 0.7)
    made["balanced_pair"] = _blobs(random, (700, 700), 3.0)
    made["uneven_pair"] = _blobs(random, (1000, 300), 3.0)
    for name, (inputs, targets) in made.items():
        is_class = np.issubdtype(targets.dtype, np.integer)
        np.savez(
            folder / f"{name}.npz",
            x=inputs.astype(np.float32),
            y=targets.astype(np.int32) if is_class else np.reshape(targets, (len(targets), -1)),
        )


def _digits() -> Arrays:
    images, labels = datasets.load_digits(return_X_y=True)
    return (images / 16).reshape(-1, 8, 8, 1), labels


def _blobs(random: np.random.Generator, sizes: tuple[int, ...], distance: float) -> Arrays:
    """Returns one normal distribution per class, whose means are so many deviations apart."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    inputs = random.normal(size=(len(labels), 4))
    inputs[:, 0] += distance * labels
    return inputs, labels


def _rare_digit(digits: Arrays, count: int) -> Arrays:
    """Returns the digits with so many of one class that a network confuses with others."""
    images, labels = digits
    kept = np.flatnonzero(labels == 8)[: 3 * count]
    return (
        np.concatenate([images[labels != 8], images[kept]]),
        np.concatenate([labels[labels != 8], labels[kept]]),
    )
