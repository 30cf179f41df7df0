"""Blocks: many steps in one call of one compiled function."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.parts.data.dataset import Split
from expt.train.step import Step

RunBlock = Callable[[NDArray[np.int32]], dict[str, NDArray[np.float32]]]
"""Runs a step on each row of indices [steps, batch]; gives an array [steps] for each scalar.

The arrays are shorter than the indices if the loss stopped being finite: that step is the last.
"""


def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """Compiles a function as `loop.compile` says: `graph`, `xla` or `eager` (not at all)."""
    if mode == "eager":
        return function
    return tf.function(function, jit_compile=mode == "xla")  # type: ignore[no-any-return]


def make_run_block(step: Step, split: Split, batch_size: int, capacity: int, mode: str) -> RunBlock:
    """Returns the function that trains a block of steps on data held on the device.

    It is traced once: the indices are padded to `capacity`, and a loop inside ends after as many
    steps as are asked for, or at a loss that is not finite. The host reads one tensor a block.

    Args:
        step: What to do with a batch.
        split: The train split.
        batch_size: Examples a step.
        capacity: The most steps a block can have.
        mode: `graph`, `xla` or `eager`.
    """
    inputs, targets = tf.constant(split.inputs), tf.constant(split.targets)
    names: list[str] = []

    def one_step(indices: tf.Tensor) -> tf.Tensor:
        scalars = step(tf.gather(inputs, indices), tf.gather(targets, indices))
        names[:] = scalars
        return tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])

    def block(indices: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.TensorArray(tf.float32, size=capacity)
        done, finite = tf.constant(0), tf.constant(True)
        while done < count and finite:
            row = one_step(indices[done])
            rows = rows.write(done, row)
            finite = tf.math.is_finite(row[0])
            done += 1
        return done, rows.stack()

    def block_eagerly(indices: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows: list[tf.Tensor] = []
        while len(rows) < count and (not rows or np.isfinite(rows[-1][0])):
            rows.append(one_step(indices[len(rows)]))
        return tf.constant(len(rows)), tf.stack(rows)

    function = block_eagerly if mode == "eager" else compiled(block, mode)

    def run_block(indices: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        padded = np.zeros((capacity, batch_size), np.int32)
        padded[: len(indices)] = indices
        done, rows = function(tf.constant(padded), tf.constant(len(indices)))
        columns = rows.numpy()[: int(done)].T
        return dict(zip(names, columns, strict=True))

    if mode != "eager":
        # A block of no steps traces and compiles, so that the first real one is not slower.
        run_block(np.zeros((0, batch_size), np.int32))
    return run_block
