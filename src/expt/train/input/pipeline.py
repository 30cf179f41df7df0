"""Feeds: where a step's batch comes from, memory or disk."""

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
from expt.train.input.augment import augmented
from expt.train.input.batch import Batch
from expt.train.timeline import Timeline


@dataclass(frozen=True)
class InputPipeline:
    """Where training batches come from.

    Attributes:
        batch: Gathers and augments the batch of some examples, int32 [batch], for a step, int32
            counted from 0; inside the step's graph.
        reads_ahead: Whether batches are read ahead, in the plan's order alone, so that they must
            be asked for one step after the other.
        fits_xla: Whether `batch` can be a part of what XLA compiles: what is read ahead can't, and
            random numbers would be others there.
        failures: What reading ahead raised.
    """

    batch: Callable[[tf.Tensor, tf.Tensor], Batch]
    reads_ahead: bool
    fits_xla: bool = True
    failures: Sequence[Exception] = ()


def make_pipeline(timeline: Timeline, dataset: Dataset, first_step: int = 0) -> InputPipeline:
    """Returns the feed of a data set's train split.

    Args:
        timeline: Which examples each step sees.
        dataset: In memory, then batches are gathered on the device; or streamed.
        first_step: The first step that will be asked for, counted from 0.
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
    fill = 0.0 if scale is None else tf.constant(scale.mean, split.dtype)

    def batch_of(indices: tf.Tensor, step: tf.Tensor) -> Batch:
        batch = Batch(
            tf.ensure_shape(inputs_of(indices), (timeline.batch_size, *dataset.input_shape)),
            tf.gather(targets, indices),
            None if weights is None else tf.gather(weights, indices),
        )
        return augmented(batch, dataset.augmentation, timeline.seed, step, fill)

    reads_ahead = is_streamed(split)
    fits_xla = not reads_ahead and dataset.augmentation == Augmentation()
    return InputPipeline(batch_of, reads_ahead, fits_xla, failures)


def first_batch(dataset: Dataset, num_parts: int = 1) -> Batch:
    """Returns the first examples of the train split, unaugmented, as one batch.

    Args:
        dataset: What to take them from.
        num_parts: How many times `dataset.batch_size` to take.
    """
    count = num_parts * dataset.batch_size
    split = dataset.train
    return Batch(
        tf.constant(split.first(count)),
        tf.constant(split.targets[:count]),
        None if split.weights is None else tf.constant(split.weights[:count]),
    )


def is_streamed(split: Split) -> bool:
    """Whether a split's inputs stay on disk."""
    return not isinstance(split.inputs, np.ndarray)


def read_in_order(split: Split, batch_size: int) -> Iterator[tf.Tensor]:
    """Yields the inputs of a streamed split, batch by batch; the last may be smaller."""
    indices = tf.data.Dataset.range(len(split), output_type=tf.int32).batch(batch_size)
    failures: list[Exception] = []
    try:
        yield from _reading(indices, split, failures)
    except tf.errors.OpError as error:
        raise reading_error(error, failures) from error


def _gathered(split: Split) -> Callable[[tf.Tensor], tf.Tensor]:
    inputs = tf.constant(split.inputs)
    return lambda indices: tf.gather(inputs, indices)


def _streamed(
    timeline: Timeline, split: Split, first_step: int, failures: list[Exception]
) -> Callable[[tf.Tensor], tf.Tensor]:
    def indices_of(step: tf.Tensor) -> tf.Tensor:
        # Stateless, or tf.data would read one batch at a time for the sake of determinism.
        indices = tf.numpy_function(
            lambda number: timeline.indices(int(number), 1)[0], [step], tf.int32, stateful=False
        )
        return tf.ensure_shape(indices, (timeline.batch_size,))

    steps = tf.data.Dataset.range(first_step, timeline.total_steps)
    batches = iter(_reading(steps.map(indices_of), split, failures))
    return lambda _indices: next(batches)


def reading_error(error: tf.errors.OpError, failures: Sequence[Exception]) -> Exception:
    """Returns what to tell of a stream that failed: what it raised itself, or TensorFlow's line."""
    if failures:
        return failures[0]
    return RunError(f"the data can't be read any more: {str(error).splitlines()[0]}")


def _reading(indices: tf.data.Dataset, split: Split, failures: list[Exception]) -> tf.data.Dataset:
    """Reads batches of a streamed split ahead, several at once, in their order."""
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
    """Returns how many threads read ahead.

    A step waits for the slowest of its threads, so reading takes half of the cores only: of those
    that this process was given for its operations, as the workers of a sweep are, or of all.
    """
    given = int(tf.config.threading.get_inter_op_parallelism_threads())
    return max(1, (given or usable_cores()) // 2)


def _reader(
    stream: Stream, dtype: np.dtype[Any], failures: list[Exception]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Reads with the stream's own method, and keeps what it raises."""

    def read_or_keep(indices: NDArray[np.int32]) -> NDArray[np.floating[Any]]:
        try:
            return stream.read(indices)
        except Exception as error:
            failures.append(error)
            raise

    def read(indices: tf.Tensor) -> tf.Tensor:
        inputs = tf.numpy_function(read_or_keep, [indices], dtype, stateful=False)
        return tf.ensure_shape(inputs, (None, *stream.shape[1:]))

    return read


def _decoder(images: ImageFiles) -> Callable[[tf.Tensor], tf.Tensor]:
    """Reads image files without Python, which is several times faster."""
    shape = images.shape[1:]
    paths = tf.constant(images.files(np.arange(images.shape[0])))

    def decode(path: tf.Tensor) -> tf.Tensor:
        # It takes PNG too; with this method the pixels are those of the stream's own `read`.
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
