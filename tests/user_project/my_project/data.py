"""Data of my own."""

from dataclasses import dataclass

import numpy as np

from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.splitting import split_indices


@dataclass(frozen=True, kw_only=True)
class Spirals:
    """Points in the plane on three spirals, one per class.

    Attributes:
        num_examples: The number of points.
        noise: The standard deviation of the angle.
        batch_size: The number of examples per training step.
        split_seed: The seed of the points and of the splits.
        task: The kind of targets.
    """

    num_examples: int
    noise: float
    batch_size: int
    split_seed: int
    task: Task = "classification"

    def load(self) -> Dataset:
        """Returns the data set with its three splits."""
        random = np.random.default_rng(self.split_seed)
        classes = np.arange(self.num_examples) % 3
        radius = random.uniform(0.1, 1.0, self.num_examples)
        angle = 5 * radius + 2 * np.pi * classes / 3
        angle += random.normal(0.0, self.noise, self.num_examples)
        points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        whole = Split(points.astype(np.float32), classes.astype(np.int32))
        indices = split_indices(self.num_examples, self.split_seed, stratify=classes)
        train, validation, test = (whole.take(part) for part in indices)
        return Dataset(
            name="spirals",
            task=self.task,
            train=train,
            validation=validation,
            test=test,
            batch_size=self.batch_size,
            class_names=("red", "green", "blue"),
        )
