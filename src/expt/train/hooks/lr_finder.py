"""The hook of a learning-rate range test, which ends the test and records its result."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from expt.config.cadence import Cadence
from expt.record.journal import FILE_NAME, read_journal
from expt.record.recorder import Image, Recorder, Scalars
from expt.runs.run import Run
from expt.train.executors import Executor
from expt.train.executors.divergence import NonFiniteLossError
from expt.train.hooks import Every, Moment
from expt.train.learning_rate_range import SUGGESTED_RATE, RangeTest

_CURVE = "lr_finder/curve"
_RATE, _LOSS = "train/learning_rate", "train/loss"


class FindLearningRate:
    """A `Hook` that collects the rate and the loss of each step, and stops when the loss diverges.

    Args:
        test: Collects the points of the test.
    """

    def __init__(self, test: RangeTest) -> None:
        self._test = test

    def __call__(self, moment: Moment) -> None:
        """Adds the step to the test, and ends training if the smoothed loss has diverged."""
        self._test.add(moment.values[_RATE], moment.values[_LOSS])
        if self._test.has_diverged:
            moment.stop(f"the loss diverged at the learning rate {self._test.rates[-1]:.2g}")


@contextmanager
def finding_learning_rate(
    is_wanted: bool, executor: Executor, recorder: Recorder, run: Run
) -> Iterator[list[Every]]:
    """Yields a list of the hook of a range test; an empty list if none is wanted.

    The initial weights are evaluated first, so that a test which ends with weights that are not
    finite has a best model. A loss that is not finite ends the test, not the run. At the end, the
    curve and the suggestion are recorded.

    Args:
        is_wanted: Whether the run is a range test.
        executor: Runs the program, whose learning rate rises.
        recorder: Records the result.
        run: The run.
    """
    if not is_wanted:
        yield []
        return
    test, progress = RangeTest(), executor.state.progress
    if progress.step == 0:
        for scalars in executor.evaluate():
            recorder.write(scalars)
    else:
        _add_recorded(test, run, progress.step)
    try:
        yield [Every(Cadence(1), FindLearningRate(test))]
    except NonFiniteLossError as error:
        progress.reason = str(error).partition(" Try ")[0]
    # The final values in run.json: JSON has no number for others.
    progress.values = {k: v for k, v in progress.values.items() if math.isfinite(v)}
    suggestion = test.suggestion()
    if suggestion is not None:
        progress.values[SUGGESTED_RATE] = suggestion
        epoch = executor.program.timeline.epoch_of(progress.step)
        recorder.write(Scalars.single(progress.step, epoch, {SUGGESTED_RATE: suggestion}))
    recorder.write(Image(progress.step, time.time(), _CURVE, lambda: _draw_curve(test, suggestion)))


def _draw_curve(test: RangeTest, suggestion: float | None) -> NDArray[np.uint8]:
    # Imported here, on the thread of a recorder: matplotlib takes tenths of a second.
    from expt.record.rate_figures import draw_range_test

    return draw_range_test(test.rates, test.losses, test.smoothed, suggestion)


def _add_recorded(test: RangeTest, run: Run, last_step: int) -> None:
    """Adds the steps that a previous process of the run has recorded."""
    for record in read_journal(run.directory / FILE_NAME, end=run.recorded):
        if record["step"] <= last_step and _LOSS in record:
            test.add(record[_RATE], record[_LOSS])
