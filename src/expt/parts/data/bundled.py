"""The sources `digits`, `iris`, `wine`, `breast_cancer` and `diabetes`, bundled with scikit-learn.

They need no download, and serve examples and tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from expt.parts.data.augmentation import Augmentation
from expt.parts.data.bundled_files import cell_features, class_names, read_numbers
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.preparation import ArrayPreparation, Summary, exact_float32
from expt.parts.data.scale import Scale
from expt.parts.data.splitting import DEFAULT_SPLIT, Shares, split_indices

# Names of columns as scikit-learn spells them. They are in its code, not in its files.
_SIZES = ("length", "width")
_MEASURED_IN_WINE = (
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols"),
    *("flavanoids", "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
    *("od280/od315_of_diluted_wines", "proline"),
)


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Handwritten digits: 1,797 images of 8x8x1 pixels from 0 to 1, ten classes.

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, as bundled with scikit-learn.

    Args:
        batch_size: Examples per training step.
        split_seed: Seed of the split, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test, stratified by class; their sum is 1.
        augment: Random changes of training images, see `Augmentation`.
    """

    batch_size: int
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    augment: Mapping[str, Any] = field(default_factory=dict)
    task: Task = "classification"

    def load(self) -> Dataset:
        """Loads and splits the images."""
        rows = read_numbers("digits.csv.gz")
        # Pixels have 17 levels, 0 to 16: hence the divisor.
        images, labels = rows[:, :-1], rows[:, -1]
        return _split(
            Split(
                (images / 16).astype(np.float32).reshape(-1, 8, 8, 1),
                labels.astype(np.int32),
            ),
            self.split_seed,
            self.split,
            preparation=ArrayPreparation(16.0, Summary.of([images])).to_mapping(),
            name="digits",
            task=self.task,
            batch_size=self.batch_size,
            class_names=tuple("0123456789"),
            augmentation=Augmentation.parse(self.augment),
        )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A table of measurements with a class for each row; the base of such sources."""

    batch_size: int
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    standardize: bool = True
    task: Task = "classification"

    def _load(self, name: str, file: str, features: Sequence[str]) -> Dataset:
        rows = read_numbers(file, has_header=True)
        inputs, labels = rows[:, :-1], rows[:, -1]
        return _split(
            Split(exact_float32(inputs), labels.astype(np.int32)),
            self.split_seed,
            self.split,
            preparation=ArrayPreparation(1.0, Summary.of([inputs])).to_mapping(),
            feature_names=tuple(features),
            standardize=self.standardize,
            name=name,
            task=self.task,
            batch_size=self.batch_size,
            class_names=class_names(file),
        )


@dataclass(frozen=True, kw_only=True)
class Iris(_Table):
    """Iris flowers: 150 rows of four lengths and widths in cm, three species.

    Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of
    Eugenics 7(2), 1936, as bundled with scikit-learn.

    Args:
        batch_size: Examples per training step.
        split_seed: Seed of the split, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test, stratified by class; their sum is 1.
        standardize: Whether the model standardizes its inputs by the train split.
    """

    def load(self) -> Dataset:
        """Loads and splits the rows."""
        features = [f"{part} {size} (cm)" for part in ("sepal", "petal") for size in _SIZES]
        return self._load("iris", "iris.csv", features)


@dataclass(frozen=True, kw_only=True)
class Wine(_Table):
    """Italian wines: 178 rows of 13 chemical measurements, three growers.

    Source: M. Forina et al., "PARVUS", 1988, from the UCI Machine Learning Repository, as bundled
    with scikit-learn.

    Args:
        batch_size: Examples per training step.
        split_seed: Seed of the split, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test, stratified by class; their sum is 1.
        standardize: Whether the model standardizes its inputs by the train split.
    """

    def load(self) -> Dataset:
        """Loads and splits the rows."""
        return self._load("wine", "wine_data.csv", _MEASURED_IN_WINE)


@dataclass(frozen=True, kw_only=True)
class BreastCancer(_Table):
    """Breast tumours: 569 rows of 30 measurements of cell nuclei, malignant or benign.

    Source: W. N. Street et al., "Nuclear feature extraction for breast tumor diagnosis", 1993,
    from the UCI Machine Learning Repository, as bundled with scikit-learn.

    Args:
        batch_size: Examples per training step.
        split_seed: Seed of the split, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test, stratified by class; their sum is 1.
        standardize: Whether the model standardizes its inputs by the train split.
    """

    def load(self) -> Dataset:
        """Loads and splits the rows."""
        return self._load("breast_cancer", "breast_cancer.csv", cell_features())


@dataclass(frozen=True, kw_only=True)
class Diabetes:
    """Diabetes patients: 442 rows of ten measurements, and disease progression after a year.

    By default the loss is computed on standardized targets, so that always predicting the mean has
    an mse of 1. Metrics such as mae are in points of the progression score, whose standard
    deviation is 77.

    Source: B. Efron et al., "Least Angle Regression", Annals of Statistics 32(2), 2004, as
    bundled with scikit-learn.

    Args:
        batch_size: Examples per training step.
        split_seed: Seed of the split, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test; their sum is 1.
        standardize: Whether the model standardizes its inputs by the train split.
        standardize_targets: Whether the loss is computed on standardized targets.
    """

    batch_size: int
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    standardize: bool = True
    standardize_targets: bool = True
    task: Task = "regression"

    def load(self) -> Dataset:
        """Loads and splits the rows, in their own units."""
        inputs = read_numbers("diabetes_data_raw.csv.gz", delimiter=None)
        targets = read_numbers("diabetes_target.csv.gz", delimiter=None)
        return _split(
            Split(exact_float32(inputs), targets[:, None]),
            self.split_seed,
            self.split,
            preparation=ArrayPreparation(1.0, Summary.of([inputs])).to_mapping(),
            feature_names=("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
            standardize=self.standardize,
            standardize_targets=self.standardize_targets,
            name="diabetes",
            task=self.task,
            batch_size=self.batch_size,
        )


def _split(
    whole: Split,
    seed: int,
    split: Sequence[float],
    *,
    task: Task,
    standardize: bool = False,
    standardize_targets: bool = False,
    **known: Any,
) -> Dataset:
    """Splits examples, stratified by class, and fits the scales to the train split.

    Args:
        whole: All examples.
        seed: Seed of the split.
        split: The shares of train, validation and test.
        task: The task; a regression is not stratified.
        standardize: Whether to fit a scale for the inputs.
        standardize_targets: Whether to fit a scale for the targets.
        **known: Further arguments of `Dataset`.
    """
    # After the split: statistics of validation and test examples must not leak into training.
    stratify = whole.targets if task == "classification" else None
    indices = split_indices(len(whole), seed, stratify, Shares.parse(split))
    train, validation, test = (whole.take(part) for part in indices)
    return Dataset(
        task=task,
        train=train,
        validation=validation,
        test=test,
        input_scale=Scale.fit(whole.read(indices[0])) if standardize else None,
        target_scale=Scale.fit(train.targets) if standardize_targets else None,
        **known,
    )
