"""Blocks: many steps in one call of one compiled function."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.train.compilation import compiled
from expt.train.input.pipeline import InputPipeline, reading_error
from expt.train.step import Step

RunBlock = Callable[[int, NDArray[np.int32]], dict[str, NDArray[np.float32]]]
"""Runs a step on each row of indices [steps, batch], the first of which is of the given number.

It gives an array [steps] for each scalar; the arrays are shorter than the indices if a loss
stopped being finite, or the loss reached its target: that step is the last. Steps are counted
from 0.
"""


def make_run_block(
    step: Step,
    pipeline: InputPipeline,
    batch_size: int,
    capacity: int,
    mode: str,
    target_loss: float | None = None,
) -> RunBlock:
    """Returns the function that trains a block of steps.

    It is traced once, for any number of steps; XLA, which compiles anew for each shape, gets
    indices that are padded to `capacity`. A loop inside ends after as many steps as are asked
    for, at a loss that is not finite, or at one below the target. The host reads one tensor a
    block.

    Args:
        step: What to do with a batch; its `loss` and all `…_loss` must stay finite.
        pipeline: Where batches come from. With `xla` one that does not fit it stays outside.
        batch_size: Examples a step.
        capacity: The most steps a block can have.
        mode: `graph`, `xla` or `eager`.
        target_loss: A `loss` below this ends the block; None is never.

    Raises:
        RunError: The feed failed.
    """
    names: list[str] = []
    if mode == "xla" and not pipeline.fits_xla:
        step, mode = compiled(step, "xla"), "graph"
    one_step = _make_one_step(step, pipeline, names, target_loss)
    make_function = _make_eager if mode == "eager" else _make_compiled
    function = make_function(one_step, capacity, batch_size, mode)

    def run_block(first: int, indices: NDArray[np.int32]) -> dict[str, NDArray[np.float32]]:
        padded = indices
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
    step: Step, pipeline: InputPipeline, names: list[str], target_loss: float | None
) -> _OneStep:
    """Returns a step that gives its scalars as a row, and whether the next may follow."""

    def one_step(indices: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scalars = step(pipeline.batch(indices, number))
        names[:] = scalars
        losses = [v for name, v in scalars.items() if name == "loss" or name.endswith("_loss")]
        row = tf.stack([tf.cast(value, tf.float32) for value in scalars.values()])
        goes_on = tf.reduce_all(tf.math.is_finite(tf.stack(losses)))
        if target_loss is not None:
            goes_on &= scalars["loss"] >= target_loss
        return row, goes_on

    return one_step


def _make_compiled(one_step: _OneStep, capacity: int, batch_size: int, mode: str) -> _Block:
    def block(
        first: tf.Tensor, indices: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        rows = tf.TensorArray(tf.float32, size=capacity)
        done, goes_on = tf.constant(0), tf.constant(True)
        while done < count and goes_on:
            row, goes_on = one_step(indices[done], first + done)
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
        goes_on = True
        while len(rows) < count and goes_on:
            row, goes_on = one_step(indices[len(rows)], first + len(rows))
            rows.append(row)
        return tf.constant(len(rows)), tf.stack(rows)

    return block
