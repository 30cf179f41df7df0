"""Data sets that scikit-learn brings along."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expt.parts.data.dataset import Dataset, Split, Task

_VALIDATION_FRACTION = 0.15
_TEST_FRACTION = 0.15


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Handwritten digits: 1,797 images of 8x8x1 pixels from 0 to 1, ten classes.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, as bundled with scikit-learn.

    Attributes:
        batch_size: Examples a step.
        split_seed: Seed of the split, stratified by class, into 70 % train, 15 % validation and
            15 % test. It is not the run's seed, so that runs with different seeds compare.
    """

    batch_size: int
    split_seed: int = 0
    task: Task = "classification"

    def load(self) -> Dataset:
        """Loads and splits the images."""
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        inputs = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
        train, validation, test = _split(len(inputs), self.split_seed, stratify=labels)
        targets = labels.astype(np.int32)
        return Dataset(
            name="digits",
            task=self.task,
            train=Split(inputs[train], targets[train]),
            validation=Split(inputs[validation], targets[validation]),
            test=Split(inputs[test], targets[test]),
            batch_size=self.batch_size,
            class_names=tuple("0123456789"),
        )


@dataclass(frozen=True, kw_only=True)
class Diabetes:
    """Diabetes patients: 442 rows of ten measurements, and the disease's progression in a year.

    Inputs and targets are standardised with the mean and standard deviation of the train split,
    so that a loss of 1 is that of always predicting the mean, and errors are in standard
    deviations of the target (77 points of the score).

    Source: B. Efron et al., "Least Angle Regression", Annals of Statistics 32(2), 2004, as
    bundled with scikit-learn.

    Attributes:
        batch_size: Examples a step.
        split_seed: Seed of the split into 70 % train, 15 % validation and 15 % test.
    """

    batch_size: int
    split_seed: int = 0
    task: Task = "regression"

    def load(self) -> Dataset:
        """Loads, splits and standardises the rows."""
        from sklearn.datasets import load_diabetes

        rows, progression = load_diabetes(return_X_y=True)
        train, validation, test = _split(len(rows), self.split_seed)
        inputs = _standardised(rows, train)
        targets = _standardised(progression[:, None], train)
        return Dataset(
            name="diabetes",
            task=self.task,
            train=Split(inputs[train], targets[train]),
            validation=Split(inputs[validation], targets[validation]),
            test=Split(inputs[test], targets[test]),
            batch_size=self.batch_size,
        )


def _split(
    count: int, seed: int, stratify: NDArray[Any] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Returns the indices of the train, validation and test examples."""
    from sklearn.model_selection import train_test_split

    held_out = _VALIDATION_FRACTION + _TEST_FRACTION
    train, rest = train_test_split(
        np.arange(count), test_size=held_out, random_state=seed, stratify=stratify
    )
    validation, test = train_test_split(
        rest,
        test_size=_TEST_FRACTION / held_out,
        random_state=seed,
        stratify=None if stratify is None else stratify[rest],
    )
    return train, validation, test


def _standardised(values: NDArray[np.float64], train: NDArray[np.intp]) -> NDArray[np.float32]:
    mean, deviation = values[train].mean(axis=0), values[train].std(axis=0)
    return np.asarray((values - mean) / deviation, dtype=np.float32)
