"""The hook that traces some steps for TensorBoard's profiler."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from expt.config.cadence import Cadence
from expt.train.hooks import Every, Moment


class Profile:
    """A `Hook` that traces the steps between its first and its second call.

    Args:
        directory: The directory of a TensorBoard run; the trace is written to its subdirectory
            `plugins/profile`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._calls = 0
        self._is_tracing = False

    def __call__(self, moment: Moment) -> None:
        """Starts the trace at the first call, unless training ends there; stops it at the next."""
        self._calls += 1
        self.stop()
        if self._calls == 1 and not moment.is_last:
            tf.profiler.experimental.start(os.fspath(self._directory))
            self._is_tracing = True

    def stop(self) -> None:
        """Stops and writes the trace, if one is being taken."""
        if self._is_tracing:
            self._is_tracing = False
            tf.profiler.experimental.stop()


@contextmanager
def profiling(num_steps: int | None, directory: Path) -> Iterator[list[Every]]:
    """Yields a list with the hook that traces steps once; an empty list if `num_steps` is None.

    Args:
        num_steps: The number of steps to trace; fewer are traced if the run ends earlier.
        directory: The directory of a TensorBoard run.
    """
    if num_steps is None:
        yield []
        return
    # The cadence lets `num_steps` steps pass before the first call: the first steps of a run are
    # slower than the others, and would not be typical.
    profile = Profile(directory)
    try:
        yield [Every(Cadence(num_steps), profile, at_end=True)]
    finally:
        profile.stop()
