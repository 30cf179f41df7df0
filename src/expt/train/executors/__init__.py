"""Executors: they compile a program and run segments of it on devices."""

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
        values: Loss and metrics by full name, such as `val/loss`.
        predictions: Of all examples of the split, shape [examples, ...].
    """

    values: Mapping[str, float]
    predictions: NDArray[np.floating[Any]]


class Executor(Protocol):
    """Runs a program, segment by segment.

    Attributes:
        program: What it runs.
        state: All that the next step depends on; its `progress` says how far training has come.
    """

    program: Program
    state: State

    def run(self, until: int) -> Iterator[Scalars]:
        """Runs one segment: steps, with the evaluations that fall into it.

        A segment begins at the step in `state` and ends at `until` or before, at the latest where
        there is a reason to stop, which is then in `state.progress`.

        Args:
            until: The last step that the segment may have.

        Yields:
            The numbers of the segment in their order. `state` is that after them.

        Raises:
            NonFiniteLossError: A loss or weight became NaN or infinite; all numbers up to then
                have been yielded.
        """
        ...

    def evaluate_last(self) -> Iterator[Scalars]:
        """Evaluates the validation split for the record, unless it was at this step already.

        For a step at which training was stopped from outside; yields what `run` would have.
        """
        ...

    def validation(self) -> Evaluated:
        """Returns the evaluation of this step; makes one that changes nothing if there is none."""
        ...

    def test(self) -> Evaluated:
        """Evaluates the test split with the weights in place."""
        ...
