"""The source `linear`: synthetic data whose best weights and least loss are known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expt.errors import UserError
from expt.parts.data.dataset import Dataset, Split, Task
from expt.parts.data.splitting import DEFAULT_SPLIT, Shares


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Points on a line (or plane) with noise: y = x·w + b + ε, x ~ N(0, 1), ε ~ N(0, noise²).

    The lowest mse that a model can reach in expectation is noise².

    Args:
        weights: The weights w, a list of one number per input.
        bias: The bias b.
        noise: Standard deviation of the noise ε, at least 0.
        num_examples: Number of points in all splits, at least 10.
        batch_size: Examples per training step.
        split_seed: Seed of the points, separate from the run's seed so that runs stay comparable.
        split: Shares of train, validation and test; their sum is 1.
    """

    weights: Sequence[float]
    bias: float
    noise: float
    num_examples: int
    batch_size: int
    split_seed: int = 0
    split: Sequence[float] = DEFAULT_SPLIT
    task: Task = "regression"

    def load(self) -> Dataset:
        """Draws and splits the points.

        Raises:
            UserError: If an option has an invalid value.
        """
        is_right = isinstance(self.num_examples, int) and self.num_examples >= 10
        if not is_right or not isinstance(self.weights, Sequence) or not self.weights:
            raise UserError(
                f"data.num_examples={self.num_examples}, data.weights={self.weights}: expected a "
                "whole number of at least 10, and a list of numbers."
            )
        if self.noise < 0:
            raise UserError(f"data.noise={self.noise}: expected a number of at least 0.")
        # Inputs are rounded to float32 first, so that the targets are exact for what models see.
        random = np.random.default_rng(self.split_seed)
        inputs = random.standard_normal((self.num_examples, len(self.weights)))
        x = inputs.astype(np.float32)
        noise = random.normal(0.0, self.noise, self.num_examples)
        y = (x @ np.asarray(self.weights, np.float64) + self.bias + noise)[:, None]
        # The points are independent draws, so consecutive ranges are random splits.
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
        """Returns the indices of the first validation and test points; no split is empty."""
        shares, count = Shares.parse(self.split), self.num_examples
        first = min(max(round(shares.train * count), 1), count - 2)
        second = round((shares.train + shares.validation) * count)
        return first, min(max(second, first + 1), count - 1)
