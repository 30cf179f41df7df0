"""Blocks: many training steps in one call of one compiled function.

The host's overhead per call, and the reading of results from the device, are paid once per block.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.train.compilation import compile_function
from expt.train.input.batch import Batch
from expt.train.input.pipeline import InputPipeline, reading_error
from expt.train.step import StepScalars

RunStep = Callable[[Batch], StepScalars]
"""A function that trains on a batch: a `Step`, compiled or not."""

RunBlock = Callable[[int, NDArray[np.int32]], dict[str, NDArray[np.float32]]]
"""Runs one training step per row of `indices`, starting at step `first`, counted from 0.

The arguments are `first` and `indices`, int32 of shape [steps, batch]. Returns, for each scalar, an
array of shape [steps]. The arrays are shorter than `indices` if a loss became NaN or infinite, or
if the loss fell below its target: that step is then the last one.
"""


def make_run_block(
    step: RunStep,
    pipeline: InputPipeline,
    batch_size: int,
    capacity: int,
    mode: str,
    target_loss: float | None = None,
) -> RunBlock:
    """Returns the function that trains a block of steps.

    The function is traced once for any number of steps, and returns all scalars as one tensor, so
    that the host reads from the device once per block.

    Args:
        step: Trains on a batch. The block ends when its scalar `loss`, or one whose name ends in
            `_loss`, is not finite.
        pipeline: The input pipeline. With `xla`, a pipeline that XLA can't compile runs outside
            the compiled step.
        batch_size: The number of examples per step.
        capacity: The maximum number of steps per block.
        mode: `graph`, `xla` or `eager`.
        target_loss: A `loss` below this value ends the block; None for no target.

    Returns:
        The function. It raises a RunError, or the exception of the data stream itself, if the
        input pipeline fails.
    """
    # The step returns its scalars as a row without names; `_make_one_step` fills in the names when
    # it is traced.
    names: list[str] = []
    if mode == "xla" and not pipeline.fits_xla:
        # Only the step is compiled with XLA then; the loop around it is an ordinary graph.
        step, mode = compile_function(step, "xla"), "graph"
    one_step = _make_one_step(step, pipeline, names, target_loss)
    make_function = _make_eager if mode == "eager" else _make_compiled
    function = make_function(one_step, capacity, batch_size, mode)

    def run_block(first: int, indices: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        padded = indices
        # XLA compiles anew for each shape, so all blocks get the same one. A graph does not, and
        # padding short blocks of large batches would cost time and memory.
        if mode == "xla":
            padded = np.zeros((capacity, batch_size), np.int32)
            padded[: len(indices)] = indices
        try:
            done, rows = function(
                tf.constant(first), tf.constant(padded), tf.constant(len(indices))
            )
        except tf.errors.OpError as error:
            if pipeline.reads_ahead:
                raise reading_error(error, pipeline.failures) from error
            raise
        columns = rows.numpy()[: int(done)].T
        return dict(zip(names, columns, strict=True))

    if mode != "eager":
        # A block of no steps traces and compiles, so that the first real one is not slower.
        run_block(0, np.zeros((0, batch_size), np.int32))
    return run_block


_OneStep = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
_Block = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def _make_one_step(
    step: RunStep, pipeline: InputPipeline, names: list[str], target_loss: float | None
) -> _OneStep:
    """Returns a step that returns its scalars as one row, and whether training can continue."""

    def one_step(indices: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scalars = step(pipeline.batch(indices, number))
        # In place, since `make_run_block` holds this list; the names are known at tracing only.
        names[:] = scalars
        losses = [v for name, v in scalars.items() if name == "loss" or name.endswith("_loss")]
        row = tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])
        can_continue = tf.reduce_all(tf.math.is_finite(tf.stack(losses)))
        if target_loss is not None:
            can_continue &= scalars["loss"] >= target_loss
        return row, can_continue

    return one_step


def _make_compiled(one_step: _OneStep, capacity: int, batch_size: int, mode: str) -> _Block:
    def block(
        first: tf.Tensor, indices: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # XLA needs a fixed size; rows after the last step stay zero and are cut off by the caller.
        rows = tf.TensorArray(tf.float32, size=capacity)
        done, can_continue = tf.constant(0), tf.constant(True)
        # AutoGraph turns this into a tf.while_loop, so that the whole block runs on the device.
        while done < count and can_continue:
            row, can_continue = one_step(indices[done], first + done)
            rows = rows.write(done, row)
            done += 1
        return done, rows.stack()

    number, indices = tf.TensorSpec((), tf.int32), tf.TensorSpec((None, batch_size), tf.int32)
    return tf.function(  # type: ignore[no-any-return]
        block, input_signature=(number, indices, number), jit_compile=mode == "xla"
    )


def _make_eager(one_step: _OneStep, capacity: int, batch_size: int, mode: str) -> _Block:
    del capacity, batch_size, mode

    def block(
        first: tf.Tensor, indices: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows: list[tf.Tensor] = []
        can_continue = True
        while len(rows) < count and can_continue:
            row, can_continue = one_step(indices[len(rows)], first + len(rows))
            rows.append(row)
        return tf.constant(len(rows)), tf.stack(rows)

    return block
