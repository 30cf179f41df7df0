"""Data sets that scikit-learn brings along."""

from dataclasses import dataclass

import numpy as np

from expt.parts.data.dataset import Dataset, Scale, Split, Task
from expt.parts.data.splitting import split_indices


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
        whole = Split(inputs, labels.astype(np.int32))
        train, validation, test = split_indices(len(whole), self.split_seed, stratify=labels)
        return Dataset(
            name="digits",
            task=self.task,
            train=whole.take(train),
            validation=whole.take(validation),
            test=whole.take(test),
            batch_size=self.batch_size,
            class_names=tuple("0123456789"),
        )


@dataclass(frozen=True, kw_only=True)
class Diabetes:
    """Diabetes patients: 442 rows of ten measurements, and the disease's progression in a year.

    The loss sees targets standardised, so that an mse of 1 is that of always predicting the mean;
    metrics such as mae are in points of the score, whose standard deviation is 77.

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
        inputs, targets = rows.astype(np.float32), progression[:, None].astype(np.float32)
        whole = Split(inputs, targets)
        train, validation, test = split_indices(len(whole), self.split_seed)
        return Dataset(
            name="diabetes",
            task=self.task,
            train=whole.take(train),
            validation=whole.take(validation),
            test=whole.take(test),
            batch_size=self.batch_size,
            input_scale=Scale.fit(inputs[train]),
            target_scale=Scale.fit(targets[train]),
        )
