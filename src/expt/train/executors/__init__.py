"""Executors compile a program and run segments of it on a device."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from expt.record.recorder import Scalars
from expt.train.program import Program
from expt.train.state import State


@dataclass(frozen=True)
class Evaluated:
    """The result of evaluating a split.

    Attributes:
        values: The loss and metrics by full name, such as `val/loss`.
        predictions: The predictions for all examples of the split, shape [examples, ...].
    """

    values: Mapping[str, float]
    predictions: NDArray[np.floating[Any]]


class Executor(Protocol):
    """Runs a program, one segment at a time.

    A segment is a sequence of steps with the evaluations that are due among them. The host reads
    the results once per segment, so an executor is free to run a whole segment on the device.

    Attributes:
        program: The program that is run.
        state: Everything that the next step depends on. `state.progress` holds the number of
            finished steps, the latest values, and the reason to stop, if there is one.
    """

    program: Program
    state: State

    def run(self, until: int) -> Iterator[Scalars]:
        """Runs one segment, starting after the last finished step.

        The segment ends at step `until` at the latest. It may end earlier, and always does at a
        step where there is a reason to stop; the reason is then in `state.progress`.

        Args:
            until: The last step that the segment may contain.

        Yields:
            The scalars of the segment, in the order of their steps. When the iterator is
            exhausted, `state` is the state after the segment.

        Raises:
            NonFiniteLossError: A loss or weight became NaN or infinite. All scalars up to that
                step have been yielded.
        """
        ...

    def evaluate(self) -> Iterator[Scalars]:
        """Evaluates the validation split at the last finished step, as a part of the run.

        The evaluation counts for the best weights, early stopping and the learning rate, as those
        within a segment do. Does nothing if this step has been evaluated already.

        Yields:
            The scalars of the evaluation.
        """
        ...

    def evaluate_validation(self) -> Evaluated:
        """Returns the evaluation of the validation split at the last finished step.

        If the run has not evaluated at this step, the split is evaluated without any effect on
        the run.
        """
        ...

    def evaluate_test(self) -> Evaluated:
        """Evaluates the test split with the current weights."""
        ...
