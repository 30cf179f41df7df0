"""A trace of some steps for TensorBoard's profiler."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from expt.config.cadence import Cadence
from expt.train.hooks import Every, Moment


class Profile:
    """Traces the steps between its first and its second call; a `Hook`."""

    def __init__(self, directory: Path) -> None:
        """Traces nothing yet.

        Args:
            directory: A run of TensorBoard, which finds the trace in `plugins/profile` there.
        """
        self._directory = directory
        self._calls = 0
        self._is_tracing = False

    def __call__(self, moment: Moment) -> None:
        """Starts the trace, unless training ends here, or stops it."""
        self._calls += 1
        self.stop()
        if self._calls == 1 and not moment.is_last:
            tf.profiler.experimental.start(os.fspath(self._directory))
            self._is_tracing = True

    def stop(self) -> None:
        """Stops and writes the trace, if there is one."""
        if self._is_tracing:
            self._is_tracing = False
            tf.profiler.experimental.stop()


@contextmanager
def profiling(num_steps: int | None, directory: Path) -> Iterator[list[Every]]:
    """Yields the hook that traces so many steps, once; none for None.

    The first `num_steps` steps are left out: they are slower than the others.

    Args:
        num_steps: How many steps to trace; fewer if the run ends before.
        directory: A run of TensorBoard.
    """
    if num_steps is None:
        yield []
        return
    profile = Profile(directory)
    try:
        yield [Every(Cadence(num_steps), profile, at_end=True)]
    finally:
        profile.stop()
