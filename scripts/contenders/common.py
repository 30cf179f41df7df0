"""The arguments, the clock and the printed results that all contenders share.

Imports neither TensorFlow nor PyTorch, since contenders run in different environments.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
"""The arrays of a data file: `x_train`, `y_train`, `x_validation`, `y_validation`."""


@dataclass(frozen=True)
class Task:
    """The training that every contender of a loop row does.

    Attributes:
        arrays: Standardized inputs, float32, and labels, int32.
        model: `mlp`, `cnn`, or for Keras the name of another model of expt.
        sizes: The widths of the hidden layers of an MLP; the channels of the stages of a CNN.
        batch_size: Divides the number of training examples.
        epochs: At least 2, since the first one is not timed.
        learning_rate: Of Adam.
    """

    arrays: Arrays
    model: str
    sizes: Sequence[int]
    batch_size: int
    epochs: int
    learning_rate: float

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches per epoch."""
        return len(self.arrays["x_train"]) // self.batch_size

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return int(self.arrays["y_train"].max()) + 1


def task_parser(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser of the arguments of a loop contender, to which it may add its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="an npz file with x_train, y_train, …")
    parser.add_argument("--model", default="mlp")
    parser.add_argument("--sizes", type=int, nargs="*", default=[128, 128])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    return parser


def make_task(args: argparse.Namespace) -> Task:
    """Returns the task that the parsed arguments describe, with its data."""
    with np.load(args.data) as arrays:
        loaded = dict(arrays)
    return Task(loaded, args.model, args.sizes, args.batch_size, args.epochs, args.learning_rate)


@dataclass
class EpochClock:
    """Times all epochs but the first, in which functions are traced and compiled."""

    num_epochs: int = 0
    _first_end: float = field(default=0.0, repr=False)
    _last_end: float = field(default=0.0, repr=False)

    @property
    def seconds(self) -> float:
        """The duration of the timed epochs, their validation included."""
        return self._last_end - self._first_end

    def end_epoch(self) -> None:
        """Marks the end of an epoch, its validation included."""
        self._last_end = time.perf_counter()
        self.num_epochs += 1
        if self.num_epochs == 1:
            self._first_end = self._last_end

    def report(self, task: Task, train_loss: float, validation_loss: float) -> None:
        """Prints the results: the number of timed steps, their seconds, and the final losses.

        Args:
            task: The task, all of whose epochs have ended.
            train_loss: The mean loss over the batches of the last epoch.
            validation_loss: The loss of the validation split after the last epoch.
        """
        assert self.num_epochs == task.epochs, f"{self.num_epochs} epochs, not {task.epochs}"
        print_results(
            steps=(task.epochs - 1) * task.steps_per_epoch,
            seconds=self.seconds,
            train_loss=train_loss,
            validation_loss=validation_loss,
        )


def print_results(**results: Any) -> None:
    """Prints results as a line of JSON, which the benchmark reads."""
    print(json.dumps(results), flush=True)
