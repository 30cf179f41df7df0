"""A trace of some steps for TensorBoard's profiler."""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.train.block import RunBlock


def profiled(run_block: RunBlock, num_steps: int, directory: Path) -> RunBlock:
    """Returns a `run_block` that traces the first block of at least so many steps, once.

    The very first block is left out: it is slower than all others.

    Args:
        run_block: What to trace.
        num_steps: How many steps to trace, if a block holds so many.
        directory: A run of TensorBoard, which finds the trace in `plugins/profile` there.
    """
    is_first, is_traced = True, False

    def run_and_trace(first: int, indices: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        nonlocal is_first, is_traced
        if is_first or is_traced or len(indices) < num_steps:
            is_first = False
            return run_block(first, indices)
        is_traced = True
        with tf.profiler.experimental.Profile(os.fspath(directory)):
            return run_block(first, indices[:num_steps])

    return run_and_trace
