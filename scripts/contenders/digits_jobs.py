"""The jobs of the whole scripts: MLPs on the digits, as the default config of expt trains them."""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

Split = tuple[NDArray[Any], NDArray[Any]]
NUM_CLASSES = 10


@dataclass(frozen=True)
class DigitsJob:
    """The default config of expt, with these values."""

    act: str
    loss: str
    learning_rate: float
    seed: int
    units: Sequence[int] = (128, 128)
    batch_size: int = 64
    epochs: int = 30

    @property
    def name(self) -> str:
        """The name of the job's run."""
        return f"{self.act}-{self.loss}-{self.learning_rate}-{self.seed}"


def parse_jobs(parser: argparse.ArgumentParser) -> tuple[list[DigitsJob], argparse.Namespace]:
    """Parses a command line; returns a job for each combination of the given values."""
    parser.add_argument("--act", nargs="+", default=["relu"])
    parser.add_argument("--loss", nargs="+", default=["crossentropy"], help="crossentropy, mse")
    parser.add_argument("--learning-rate", nargs="+", type=float, default=[0.001])
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    args = parser.parse_args()
    values = itertools.product(args.act, args.loss, args.learning_rate, args.seed)
    return [DigitsJob(*each) for each in values], args


def load_splits() -> tuple[Split, Split, Split]:
    """Returns images, float32 of shape [n, 8, 8, 1], and labels to train, validate and test."""
    images, labels = load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    train, rest = train_test_split(
        np.arange(len(labels)), test_size=0.3, random_state=0, stratify=labels
    )
    validation, test = train_test_split(rest, test_size=0.5, random_state=0, stratify=labels[rest])
    splits = [(inputs[part], labels[part]) for part in (train, validation, test)]
    return splits[0], splits[1], splits[2]
