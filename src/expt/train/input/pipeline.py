"""The input pipeline: gathers the batch of a step from memory, or reads it ahead from a stream."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from expt.errors import RunError
from expt.parts.data.augmentation import Augmentation
from expt.parts.data.dataset import Dataset, Split, Stream
from expt.parts.data.image_files import ImageFiles
from expt.runs.cores import usable_cores
from expt.train.input.augment import augment
from expt.train.input.batch import Batch
from expt.train.timeline import Timeline


@dataclass(frozen=True)
class InputPipeline:
    """The source of training batches.

    Attributes:
        batch: A function of the indices of examples, int32 of shape [batch], and the number of the
            step, int32 counted from 0. Returns the augmented batch. Runs in the step's graph.
        reads_ahead: Whether batches are read ahead. They are read in the order of the steps then,
            and must be requested one step after the other.
        fits_xla: Whether XLA can compile `batch`. It can't compile reading ahead, and would draw
            other random numbers for augmentation.
        failures: The exceptions raised while reading ahead.
    """

    batch: Callable[[tf.Tensor, tf.Tensor], Batch]
    reads_ahead: bool
    fits_xla: bool = True
    failures: Sequence[Exception] = ()


def make_pipeline(timeline: Timeline, dataset: Dataset, first_step: int = 0) -> InputPipeline:
    """Returns the input pipeline of a data set's train split.

    Args:
        timeline: Determines the examples of each step.
        dataset: The data set. Batches of one in memory are gathered on the device.
        first_step: The first step that will be requested, counted from 0.
    """
    split = dataset.train
    failures: list[Exception] = []
    if is_streamed(split):
        inputs_of = _streamed(timeline, split, first_step, failures)
    else:
        inputs_of = _gathered(split)
    targets = tf.constant(split.targets)
    weights = None if split.weights is None else tf.constant(split.weights)
    scale = dataset.input_scale
    # Blank pixels get the mean, which the model's standardization turns into 0.
    fill = 0.0 if scale is None else tf.constant(scale.mean, split.dtype)

    def batch_of(indices: tf.Tensor, step: tf.Tensor) -> Batch:
        batch = Batch(
            # Streams lose the static shape, which augmentation and accumulation read.
            tf.ensure_shape(inputs_of(indices), (timeline.batch_size, *dataset.input_shape)),
            tf.gather(targets, indices),
            None if weights is None else tf.gather(weights, indices),
        )
        return augment(batch, dataset.augmentation, timeline.seed, step, fill)

    reads_ahead = is_streamed(split)
    fits_xla = not reads_ahead and dataset.augmentation == Augmentation()
    return InputPipeline(batch_of, reads_ahead, fits_xla, failures)


def first_batch(dataset: Dataset, num_parts: int = 1) -> Batch:
    """Returns the first examples of the train split, unaugmented, as one batch.

    Args:
        dataset: The data set.
        num_parts: The size of the batch, in units of `dataset.batch_size`.
    """
    count = num_parts * dataset.batch_size
    split = dataset.train
    return Batch(
        tf.constant(split.first(count)),
        tf.constant(split.targets[:count]),
        None if split.weights is None else tf.constant(split.weights[:count]),
    )


def is_streamed(split: Split) -> bool:
    """Returns whether the inputs of a split are read from a stream instead of memory."""
    return not isinstance(split.inputs, np.ndarray)


def read_in_order(split: Split, batch_size: int) -> Iterator[tf.Tensor]:
    """Yields the inputs of a streamed split, batch by batch; the last batch may be smaller.

    Raises:
        RunError: The data can't be read; or the exception of the stream itself.
    """
    indices = tf.data.Dataset.range(len(split), output_type=tf.int32).batch(batch_size)
    failures: list[Exception] = []
    try:
        yield from _read_ahead(indices, split, failures)
    except tf.errors.OpError as error:
        raise reading_error(error, failures) from error


def _gathered(split: Split) -> Callable[[tf.Tensor], tf.Tensor]:
    inputs = tf.constant(split.inputs)
    return lambda indices: tf.gather(inputs, indices)


def _streamed(
    timeline: Timeline, split: Split, first_step: int, failures: list[Exception]
) -> Callable[[tf.Tensor], tf.Tensor]:
    def indices_of(step: tf.Tensor) -> tf.Tensor:
        # Declared stateless, as tf.data reads one batch at a time after a stateful function, to be
        # deterministic.
        indices = tf.numpy_function(
            lambda number: timeline.indices(int(number), 1)[0], [step], tf.int32, stateful=False
        )
        return tf.ensure_shape(indices, (timeline.batch_size,))

    steps = tf.data.Dataset.range(first_step, timeline.total_steps)
    batches = iter(_read_ahead(steps.map(indices_of), split, failures))
    # The indices are ignored: those of the next step have been computed by `indices_of`.
    return lambda _indices: next(batches)


def reading_error(error: tf.errors.OpError, failures: Sequence[Exception]) -> Exception:
    """Returns the exception to raise for a failed stream: its own, or one with TensorFlow's reason.

    Args:
        error: The error that TensorFlow has raised.
        failures: The exceptions that the stream itself has raised.
    """
    # TensorFlow turns them into text, with a traceback.
    if failures:
        return failures[0]
    return RunError(f"the data can't be read any more: {str(error).splitlines()[0]}")


def _read_ahead(
    indices: tf.data.Dataset, split: Split, failures: list[Exception]
) -> tf.data.Dataset:
    """Returns the batches of a streamed split in order; several are read ahead in parallel."""
    stream = split.inputs
    assert not isinstance(stream, np.ndarray)
    if isinstance(stream, ImageFiles) and stream.is_native:
        read = _decoder(stream)
    else:
        read = _reader(stream, split.dtype, failures)
    options = tf.data.Options()
    options.threading.private_threadpool_size = _num_threads()
    batches = indices.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def _num_threads() -> int:
    """Returns the number of threads that read ahead: half of the cores, at least one."""
    # Not all cores, because a step waits for the slowest of its own threads. The workers of a
    # sweep share the cores, and have set the number of inter-op threads to their share.
    given = int(tf.config.threading.get_inter_op_parallelism_threads())
    return max(1, (given or usable_cores()) // 2)


def _reader(
    stream: Stream, dtype: np.dtype[Any], failures: list[Exception]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that reads with the stream's own method, and keeps its exceptions."""

    def read_or_keep_failure(indices: NDArray[np.int32]) -> NDArray[np.floating[Any]]:
        try:
            return stream.read(indices)
        except Exception as error:
            failures.append(error)
            raise

    def read(indices: tf.Tensor) -> tf.Tensor:
        inputs = tf.numpy_function(read_or_keep_failure, [indices], dtype, stateful=False)
        return tf.ensure_shape(inputs, (None, *stream.shape[1:]))

    return read


def _decoder(images: ImageFiles) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns a function that reads image files with TensorFlow's operations."""
    # Several times faster than the stream's own `read`, which is written in Python.
    shape = images.shape[1:]
    paths = tf.constant(images.files(np.arange(images.shape[0])))

    def decode(path: tf.Tensor) -> tf.Tensor:
        # Decodes PNG files too. With this DCT method the pixels equal those of the stream's `read`.
        return tf.io.decode_jpeg(
            tf.io.read_file(path), channels=shape[-1], dct_method="INTEGER_ACCURATE"
        )

    def read(indices: tf.Tensor) -> tf.Tensor:
        pixels = tf.map_fn(
            decode,
            tf.gather(paths, indices),
            fn_output_signature=tf.TensorSpec(shape, tf.uint8),
            parallel_iterations=1,
        )
        return tf.cast(pixels, tf.float32) / float(images.preparation.divisor)

    return read
