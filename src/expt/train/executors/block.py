"""Blocks: many training steps, and the evaluations among them, in one call of a compiled function.

The host's overhead per call, and the reading of results from the device, are paid once per block.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.train.compilation import compile_function, convert
from expt.train.input.batch import Batch
from expt.train.input.pipeline import InputPipeline, reading_error
from expt.train.step import StepScalars

RunStep = Callable[[Batch], StepScalars]
"""A function that trains on a batch: a `Step`, compiled or not."""


class Validate(Protocol):
    """An evaluation within a block.

    Attributes:
        num_values: The number of values that it returns.
    """

    num_values: int

    def __call__(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Evaluates with the current weights, as a part of the graph that is being traced.

        Returns:
            The values, float64 of shape [num_values], and whether training can continue.
        """
        ...


class Block(NamedTuple):
    """The results of a block.

    Attributes:
        scalars: For each scalar of the step, an array of shape [steps].
        evaluations: By the index of a step in the block, the values of the evaluation after it,
            float64 of shape [values].
    """

    scalars: Mapping[str, NDArray[np.float32]]
    evaluations: Mapping[int, NDArray[np.float64]]


class RunBlock(Protocol):
    """A function that runs a block."""

    def __call__(
        self, first: int, indices: NDArray[np.int32], due: NDArray[np.bool_] | None = None
    ) -> Block:
        """Runs one training step per row of `indices`.

        Args:
            first: The first step, counted from 0.
            indices: The examples of each step, shape [steps, batch].
            due: Whether an evaluation follows a step, shape [steps]; None for no evaluations.

        Returns:
            The results. They are shorter than `indices` if a loss became NaN or infinite, if the
            loss fell below its target, or if an evaluation found that training can't continue:
            that step is then the last one.
        """
        ...


def make_run_block(
    step: RunStep,
    pipeline: InputPipeline,
    batch_size: int,
    capacity: int,
    mode: str,
    target_loss: float | None = None,
    validate: Validate | None = None,
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
        validate: Evaluates after the steps that are due, unless the step ends the block; None for
            blocks without evaluations. Not with `eager`.

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
    one_step = _make_one_step(convert(step), pipeline, names, target_loss)
    if mode == "eager":
        function = _make_eager(one_step)
    else:
        function = _make_compiled(one_step, validate, capacity, batch_size, mode)

    def run_block(
        first: int, indices: NDArray[np.int32], due: NDArray[np.bool_] | None = None
    ) -> Block:
        padded, count = indices, len(indices)
        evaluated = np.zeros(count, np.bool_) if due is None else due
        # XLA compiles anew for each shape, so all blocks get the same one. A graph does not, and
        # padding short blocks of large batches would cost time and memory.
        if mode == "xla":
            padded = np.zeros((capacity, batch_size), np.int32)
            padded[:count] = indices
            evaluated = np.pad(evaluated, (0, capacity - count))
        try:
            done, rows, evaluations = function(
                tf.constant(first),
                tf.constant(padded),
                tf.constant(evaluated),
                tf.constant(count),
            )
        except tf.errors.OpError as error:
            if pipeline.reads_ahead:
                raise reading_error(error, pipeline.failures) from error
            raise
        columns = rows.numpy()[: int(done)].T
        found = evaluations.numpy()
        after = {int(row): found[row, 1:] for row in np.flatnonzero(found[:, 0])}
        return Block(dict(zip(names, columns, strict=True)), after)

    if mode != "eager":
        # A block of no steps traces and compiles, so that the first real one is not slower.
        run_block(0, np.zeros((0, batch_size), np.int32))
    return run_block


_OneStep = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
_Block = Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]
]


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


def _make_compiled(
    one_step: _OneStep, validate: Validate | None, capacity: int, batch_size: int, mode: str
) -> _Block:
    num_values = 0 if validate is None else validate.num_values

    def block(
        first: tf.Tensor, indices: tf.Tensor, due: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # XLA needs a fixed size; rows after the last step stay zero and are cut off by the caller.
        rows = tf.TensorArray(tf.float32, size=capacity)
        # The first column is 1 in the rows of steps that an evaluation follows.
        evaluations = tf.TensorArray(tf.float64, size=capacity, element_shape=[1 + num_values])
        is_done = tf.constant([1.0], tf.float64)

        def evaluate(found: tf.TensorArray, done: tf.Tensor) -> tuple[tf.TensorArray, tf.Tensor]:
            assert validate is not None
            values, can_continue = validate()
            return found.write(done, tf.concat([is_done, values], axis=0)), can_continue

        def body(
            done: tf.Tensor, _: tf.Tensor, rows: tf.TensorArray, evaluations: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, tf.TensorArray]:
            row, can_continue = one_step(indices[done], first + done)
            rows = rows.write(done, row)
            if validate is not None:
                evaluations, can_continue = tf.cond(
                    due[done] & can_continue,
                    lambda: evaluate(evaluations, done),
                    lambda: (evaluations, can_continue),
                )
            return done + 1, can_continue, rows, evaluations

        # The whole block runs on the device.
        done, _, rows, evaluations = tf.while_loop(
            lambda done, can_continue, *_: (done < count) & can_continue,
            body,
            (tf.constant(0), tf.constant(True), rows, evaluations),
        )
        return done, rows.stack(), evaluations.stack()

    number, indices = tf.TensorSpec((), tf.int32), tf.TensorSpec((None, batch_size), tf.int32)
    due = tf.TensorSpec((None,), tf.bool)
    return tf.function(  # type: ignore[no-any-return]
        block,
        input_signature=(number, indices, due, number),
        jit_compile=mode == "xla",
        autograph=False,
    )


def _make_eager(one_step: _OneStep) -> _Block:
    def block(
        first: tf.Tensor, indices: tf.Tensor, due: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        del due
        rows: list[tf.Tensor] = []
        can_continue = True
        while len(rows) < count and can_continue:
            row, can_continue = one_step(indices[len(rows)], first + len(rows))
            rows.append(row)
        return tf.constant(len(rows)), tf.stack(rows), tf.zeros((len(rows), 1), tf.float64)

    return block
