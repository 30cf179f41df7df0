"""Data with a known answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.splitting import USUAL_SPLIT, Shares


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Points on a line (or plane) with noise: y = x·w + b + ε, x ~ N(0, 1), ε ~ N(0, noise²).

    Attributes:
        weights: w, one for each input.
        bias: b.
        noise: Standard deviation of ε; the least loss that mse can reach is its square.
        num_examples: How many points.
        batch_size: Examples a step.
        split_seed: Seed of the points; not the run's seed, so that runs compare.
        split: The shares of train, validation and test.
    """

    weights: Sequence[float]
    bias: float
    noise: float
    num_examples: int
    batch_size: int
    split_seed: int = 0
    split: Sequence[float] = USUAL_SPLIT
    task: Task = "regression"

    def load(self) -> Dataset:
        """Draws the points."""
        is_right = isinstance(self.num_examples, int) and self.num_examples >= 10
        if not is_right or not isinstance(self.weights, Sequence) or not self.weights:
            raise UserError(
                f"data.num_examples={self.num_examples}, data.weights={self.weights}: expected a "
                "whole number of at least 10, and a list of numbers."
            )
        if self.noise < 0:
            raise UserError(f"data.noise={self.noise}: expected a number of at least 0.")
        random = np.random.default_rng(self.split_seed)
        inputs = random.standard_normal((self.num_examples, len(self.weights)))
        x = inputs.astype(np.float32)
        noise = random.normal(0.0, self.noise, self.num_examples)
        y = (x @ np.asarray(self.weights, np.float64) + self.bias + noise)[:, None]
        first, second = self._borders()
        return Dataset(
            name="linear",
            task=self.task,
            train=Split(x[:first], y[:first]),
            validation=Split(x[first:second], y[first:second]),
            test=Split(x[second:], y[second:]),
            batch_size=self.batch_size,
        )

    def _borders(self) -> tuple[int, int]:
        """Returns which points are the first of validation and of test; each split has one."""
        shares, count = Shares.parse(self.split), self.num_examples
        first = min(max(round(shares.train * count), 1), count - 2)
        second = round((shares.train + shares.validation) * count)
        return first, min(max(second, first + 1), count - 1)
